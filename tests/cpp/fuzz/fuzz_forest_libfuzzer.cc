// The same promises under libFuzzer, which chooses its own bytes; the checksum is made right so
// that they get past it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

#include "forest/forest_writer.h"
#include "fuzz/forest_check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  slipstream::forest::seal(bytes);
  try {
    (void)fuzz::check_forest_file(bytes, size);
  } catch (const fuzz::BrokenPromise& promise) {
    std::cerr << "broken promise: " << promise.what() << "\n";
    std::abort();
  }
  return 0;
}
