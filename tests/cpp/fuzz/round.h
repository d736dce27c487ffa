// One document of the fuzzer and every promise of csrc/wire about it: what a slow reference decoder
// says of it, memory, messages, that its tensors encode and decode again. A broken promise is
// printed, and the process exits 1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fuzz/binary_documents.h"
#include "fuzz/reference_decode.h"
#include "wire/decode.h"

namespace fuzz {

struct Subject {
  const slipstream::InputSchema& schema;
  const slipstream::DecodeLimits& limits;
  std::uint64_t seed;
};

// Each returns whether the document was accepted.
bool check_json(const Subject& subject, const std::string& document);
bool check_msgpack(const Subject& subject, const std::string& document);
bool check_raw(const Subject& subject, const RawBody& raw);

// The JSON document as MessagePack gets the same answer, in the same words.
void check_formats_agree(const Subject& subject, const std::string& document, Random& random);

}  // namespace fuzz
