# The GoogleTest tests of the plain C++ layers, with the objects that the extension consists of. The tests themselves need not be
# fast, but built fast.
. "$root/scripts/test.d/unit.inc"
AM=datahike need_extension || return
run_unit_tests unit -DDATAHIKE_EXTENSION_OBJECTS=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  -DCMAKE_CXX_FLAGS_RELWITHDEBINFO='-O1 -g1'
