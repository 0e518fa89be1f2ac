# The plain C++ layers include no PostgreSQL header and nothing from the layers above them.
plain='store|tree|column|datalog|iforest|datom'
server=$("$PGBIN/pg_config" --includedir-server)
while read -r file; do
  bad=
  while read -r include; do
    name=${include:1:-1}
    case $include in
      \"*) [[ $name =~ ^($plain)/ && -e $root/src/$name ]] || bad+=" $include" ;;
      *) [ ! -e "$server/$name" ] || bad+=" $include" ;;
    esac
  done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*(<[^>]+>|"[^"]+").*/\1/p' "$file")
  if [ -z "$bad" ]; then ok "${file#"$root/"}"; else not_ok "${file#"$root/"} includes$bad"; fi
done < <(cd "$root/src" && find "$root"/src/{store,tree,column,datalog,iforest,datom} -name '*.cpp' -o -name '*.h' | sort)
