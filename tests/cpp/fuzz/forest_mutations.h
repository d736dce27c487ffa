// Mutations of forest files that keep enough structure to get past the header.
//
// Threads: one. The same generator state gives the same mutation.
#pragma once

#include <string>

#include "fuzz/tokens.h"

namespace fuzz {

// Changes a field of the header, of the array table or of the program, elements of an array, or a
// stretch of bytes. Whether the checksum is right afterwards is the caller's choice.
void mutate_forest_file(std::string& bytes, Random& random);

}  // namespace fuzz
