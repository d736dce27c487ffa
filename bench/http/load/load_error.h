// LoadError: what ends a run of the load generator; its text is all that the user sees.
//
// Threads: any. Ownership: a value. Failure: it is the failure.
#pragma once

#include <stdexcept>

namespace slipstream::load {

class LoadError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace slipstream::load
