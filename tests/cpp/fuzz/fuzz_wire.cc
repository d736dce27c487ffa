// The fuzzer of csrc/wire: good documents, mutated, compared with a slow reference decoder; JSON,
// MessagePack and tensors as bytes.
//
//   fuzz_wire                  a short run that is the same every time (what ctest does)
//   fuzz_wire SECONDS [SEED]   as long as that; a seed of your own
//
// Build it with -DSLIPSTREAM_SANITIZE=address,undefined for a run that means something. On a broken
// promise it prints the document, the schema and the seed of the round, and exits 1.
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>
#include <utility>

#include "fuzz/binary_documents.h"
#include "fuzz/documents.h"
#include "fuzz/mutations.h"
#include "fuzz/reference_json.h"
#include "fuzz/round.h"
#include "wire/encode.h"

namespace {

using namespace slipstream;

// Bytes of any kind become a JSON string that reads back: as they were if they were UTF-8.
void check_text(fuzz::Random& random) {
  std::string text;
  for (std::size_t i = fuzz::below(random, 24); i > 0; --i) text += static_cast<char>(random());
  if (fuzz::chance(random, 2)) {
    for (char& c : text) c = static_cast<char>(c & 0x7F);
  }
  std::string json;
  encode_string(text, json);
  const auto node = reference::parse(json, 1);
  const bool missing = text == kMissingString;
  const bool is_utf8 = node && node->text.find("\xEF\xBF\xBD") == std::string::npos;
  if (!node || (!missing && is_utf8 && node->text != text)) {
    std::cerr << "broken promise: encode_string made " << json << "\n";
    std::exit(EXIT_FAILURE);
  }
}

struct Count {
  std::uint64_t documents = 0;
  std::uint64_t accepted = 0;

  void add(bool was_accepted) {
    ++documents;
    if (was_accepted) ++accepted;
  }
  // A fuzzer whose documents are all refused, or all accepted, tests one half.
  bool is_balanced() const {
    return accepted > documents / 20 && accepted < documents - documents / 20;
  }
};

struct Counts {
  Count json;
  Count msgpack;
  Count raw;
};

// A good document in MessagePack: the JSON one, or a tensor as bytes.
std::string binary_base(const InputSchema& schema, const std::string& json, fuzz::Random& random) {
  if (fuzz::chance(random, 4)) return fuzz::to_msgpack(fuzz::random_raw(schema, random), random);
  const auto node = reference::parse(json, DecodeLimits{}.max_depth);
  return node ? fuzz::to_msgpack(*node, random).bytes : std::string();
}

// One schema and what can be done to its documents.
void run_round(std::uint64_t seed, Counts& counts) {
  fuzz::Random random(seed);
  const InputSchema schema = fuzz::random_schema(random);
  DecodeLimits limits;
  if (fuzz::chance(random, 25)) limits.max_depth = fuzz::below(random, 6);
  if (fuzz::chance(random, 25)) limits.max_rows = static_cast<std::int64_t>(random() % 5);
  if (fuzz::chance(random, 25)) limits.max_elements = static_cast<std::int64_t>(random() % 20);
  const std::string base = fuzz::random_document(schema, random);
  const std::string other = fuzz::random_document(schema, random);
  const fuzz::Subject subject{schema, limits, seed};
  for (int i = 0; i < 12; ++i) {
    std::string document = base;
    for (int mutations = (i + 2) / 4; mutations > 0; --mutations) {
      fuzz::mutate(document, other, random);
    }
    counts.json.add(fuzz::check_json(subject, document));
    if (i % 4 == 0) fuzz::check_formats_agree(subject, document, random);
  }
  const std::string packed = binary_base(schema, base, random);
  const std::string other_packed = binary_base(schema, other, random);
  for (int i = 0; i < 12; ++i) {
    std::string document = packed;
    for (int mutations = (i + 2) / 4; mutations > 0; --mutations) {
      fuzz::mutate_msgpack(document, other_packed, random);
    }
    counts.msgpack.add(fuzz::check_msgpack(subject, document));
  }
  for (int i = 0; i < 4; ++i) {
    counts.raw.add(fuzz::check_raw(subject, fuzz::random_raw(schema, random)));
  }
  check_text(random);
}

}  // namespace

int main(int argc, char** argv) {
  using Clock = std::chrono::steady_clock;
  constexpr std::uint64_t kShortRun = 3000;
  const double seconds = argc > 1 ? std::atof(argv[1]) : 0;
  const std::uint64_t first = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  Counts counts;
  for (std::uint64_t seed = first; argc > 1 ? Clock::now() < end : seed < first + kShortRun;
       ++seed) {
    run_round(seed, counts);
  }
  for (const auto& [name, count] :
       {std::pair("JSON", counts.json), {"MessagePack", counts.msgpack}, {"raw", counts.raw}}) {
    std::cout << count.documents << " " << name << " documents, " << count.accepted
              << " accepted\n";
  }
  const bool balanced =
      counts.json.is_balanced() && counts.msgpack.is_balanced() && counts.raw.is_balanced();
  return balanced ? EXIT_SUCCESS : EXIT_FAILURE;
}
