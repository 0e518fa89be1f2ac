# The same under AddressSanitizer and UndefinedBehaviorSanitizer.
. "$root/scripts/test.d/unit.inc"
run_unit_tests sanitize -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG='-O1 -g1' -DDATAHIKE_SANITIZE=ON
