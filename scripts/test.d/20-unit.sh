# The GoogleTest tests of the plain C++ layers.
. "$root/scripts/test.d/unit.inc"
run_unit_tests unit -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS_RELWITHDEBINFO='-O2 -g1 -DNDEBUG'
