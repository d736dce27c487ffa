// What a test cannot go on without: a value, or that something went well. Else it prints the
// message, and the test ends.
#pragma once

#include <iostream>
#include <utility>

#include "core/status.h"
#include "harness.h"

namespace slipstream::testing {

template <class T>
T must(Result<T> result) {
  if (!result.is_ok()) std::cout << "    " << result.status().message() << '\n';
  REQUIRE(result.is_ok());
  return std::move(result).value();
}

inline void must(const Status& status) {
  if (!status.is_ok()) std::cout << "    " << status.message() << '\n';
  REQUIRE(status.is_ok());
}

}  // namespace slipstream::testing
