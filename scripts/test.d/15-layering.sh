# The plain C++ layers include no PostgreSQL header and nothing from the layers above them, nor from the folders sql/ below
# some of them, which are their SQL side.
plain='store|tree|column|datalog|iforest|datom|csv'
server=$("$PGBIN/pg_config" --includedir-server)
while read -r file; do
  bad=
  while read -r include; do
    name=${include:1:-1}
    case $include in
      \"*) [[ $name =~ ^($plain)/ && ! $name =~ /sql/ && -e $root/src/$name ]] || bad+=" $include" ;;
      *) [ ! -e "$server/$name" ] || bad+=" $include" ;;
    esac
  done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*(<[^>]+>|"[^"]+").*/\1/p' "$file")
  if [ -z "$bad" ]; then ok "${file#"$root/"}"; else not_ok "${file#"$root/"} includes$bad"; fi
done < <(cd "$root/src" && find "$root"/src/{store,tree,column,datalog,iforest,datom,csv} -path '*/sql/*' -prune -o -name '*.cpp' -print -o -name '*.h' -print | sort)
