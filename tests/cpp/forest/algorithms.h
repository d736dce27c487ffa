// The names that CompileOptions::algorithm takes, for tests that go through them all.
//
// One that does not fit some trees, or this processor, is passed over by its user. Plain data.
#pragma once

namespace slipstream::forest {

inline constexpr const char* kAlgorithms[] = {
    "auto",          "plain",           "walk",         "walk@avx512",  "walk@avx2",
    "walk@portable", "sweep",           "sweep@avx512", "sweep@avx2",   "sweep@portable",
    "lockstep",      "lockstep@avx512", "blocks",       "blocks@avx512"};

}  // namespace slipstream::forest
