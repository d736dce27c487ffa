// What must hold of any bytes that are given to the forest backend as a file.
//
// Threads: one. Failure: throws BrokenPromise; anything worse is for the sanitizers to see.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace fuzz {

struct BrokenPromise : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Loads the file and, if it loads, runs it on random rows by the plain walk and by another
// algorithm, which have to agree. A refusal has to say why. True: it loaded.
bool check_forest_file(const std::string& bytes, std::uint64_t seed);

}  // namespace fuzz
