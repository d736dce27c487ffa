// What the reader of forest files refuses, and that it says why: every field wrong in its turn, cut
// off at every byte, any byte flipped.
#include <array>
#include <cstring>
#include <functional>
#include <random>

#include "backends/forest/crc32.h"
#include "forest/forest_writer.h"
#include "forest/loaded.h"
#include "harness.h"

namespace slipstream::forest {
namespace {

std::uint32_t crc_of(std::string_view text) {
  return crc32(std::as_bytes(std::span(text)));
}

template <class T>
T number_at(const std::string& bytes, std::size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

template <class T>
void put_at(std::string& bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

// The complaint about the file; "" when it loads.
std::string complaint(const std::string& bytes) {
  const Loaded loaded(bytes);
  if (loaded.status().is_ok()) return "";
  CHECK(loaded.status().code() == StatusCode::kInvalidArgument);
  CHECK(!loaded.status().message().empty());
  return loaded.status().message();
}

bool says(const std::string& bytes, std::string_view text) {
  const std::string message = complaint(bytes);
  const bool found = message.find(text) != std::string::npos;
  if (!found) std::cerr << "     '" << message << "' lacks '" << text << "'\n";
  return found;
}

// The sample with one number changed and the checksum made right again.
template <class T>
std::string with(std::size_t at, T value) {
  std::string bytes = sample_file();
  put_at(bytes, at, value);
  const std::uint32_t crc = crc32(std::as_bytes(std::span(bytes)).subspan(16));
  put_at(bytes, 12, crc);
  return bytes;
}

constexpr std::size_t kProgramOffset = 24;
constexpr std::size_t kProgramBytes = 32;
constexpr std::size_t kTableOffset = 40;
constexpr std::size_t kArrays = 48;
constexpr std::size_t kSteps = 52;
constexpr std::size_t kInputs = 56;
constexpr std::size_t kOutputs = 60;
constexpr std::size_t kProgram = 64;  // where the writer puts it

TEST(crc32_is_zlibs) {
  CHECK_EQ(crc_of(""), 0U);
  CHECK_EQ(crc_of("123456789"), 0xCBF43926U);
  CHECK_EQ(crc_of("The quick brown fox jumps over the lazy dog"), 0x414FA339U);
  // Every length around the eight bytes of a step, against a bit at a time.
  std::string text;
  for (int i = 0; i < 40; ++i) {
    std::uint32_t slow = ~0U;
    for (const char c : text) {
      slow ^= static_cast<unsigned char>(c);
      for (int bit = 0; bit < 8; ++bit) slow = (slow >> 1U) ^ ((slow & 1U) * 0xEDB88320U);
    }
    CHECK_EQ(crc_of(text), ~slow);
    text += static_cast<char>(i * 37);
  }
}

TEST(the_sample_loads) {
  CHECK_EQ(complaint(sample_file()), "");
  const Loaded loaded(sample_file());
  REQUIRE(loaded.status().is_ok());
  CHECK_EQ(loaded.program().inputs.size(), 2U);
  CHECK_EQ(loaded.program().outputs.size(), 4U);
  CHECK_EQ(loaded.program().inputs[1].name, "town");
}

TEST(every_field_of_the_header_is_checked) {
  const std::string good = sample_file();
  CHECK(says("", "SLIPFRST"));
  CHECK(says("hello", "SLIPFRST"));
  std::string bytes = good;
  bytes[0] = 's';
  CHECK(says(bytes, "SLIPFRST"));
  bytes = good;
  put_at(bytes, 8, std::uint32_t{2});
  CHECK(says(bytes, "version 2"));
  bytes = good;
  put_at(bytes, 12, number_at<std::uint32_t>(good, 12) ^ 1U);
  CHECK(says(bytes, "CRC-32"));
  CHECK(says(with(16, std::uint64_t{good.size() + 1}), "the header says"));
  CHECK(says(with(16, ~std::uint64_t{0}), "the header says"));
  for (const std::uint64_t offset :
       {std::uint64_t{0}, std::uint64_t{68}, std::uint64_t{1} << 50, ~std::uint64_t{7}}) {
    CHECK(says(with(kProgramOffset, offset), "program"));
    CHECK(says(with(kTableOffset, offset), "table"));
  }
  CHECK(says(with(kProgramBytes, ~std::uint64_t{0}), "program"));
  CHECK(says(with(kProgramBytes, number_at<std::uint64_t>(good, kProgramBytes) - 8), "cut off"));
  CHECK(says(with(kArrays, ~std::uint32_t{0}), "array table"));
  CHECK(says(with(kArrays, std::uint32_t{0}), "no array 0"));
  CHECK(says(with(kSteps, std::uint32_t{65537}), "65536"));
  CHECK(!complaint(with(kSteps, number_at<std::uint32_t>(good, kSteps) - 1)).empty());
  CHECK(!complaint(with(kSteps, number_at<std::uint32_t>(good, kSteps) + 1)).empty());
  for (const std::uint32_t ends : {0U, 4097U, ~0U}) {
    CHECK(says(with(kInputs, ends), "inputs, not"));
    CHECK(says(with(kOutputs, ends), "outputs, not"));
  }
  CHECK(!complaint(with(kInputs, std::uint32_t{1})).empty());
  CHECK(says(with(kOutputs, std::uint32_t{1}), "bytes follow"));
}

TEST(every_field_of_an_array_entry_is_checked) {
  const std::string good = sample_file();
  const auto table = static_cast<std::size_t>(number_at<std::uint64_t>(good, kTableOffset));
  const auto arrays = number_at<std::uint32_t>(good, kArrays);
  for (std::uint32_t i = 0; i < arrays; ++i) {
    const std::size_t entry = table + 24 * std::size_t{i};
    const std::string name = "array " + std::to_string(i) + ":";
    CHECK(says(with(entry, std::uint32_t{13}), name));
    CHECK(says(with(entry, ~std::uint32_t{0}), name));
    CHECK(says(with(entry + 4, std::uint32_t{1}), name));
    CHECK(says(with(entry + 8, number_at<std::uint64_t>(good, entry + 8) + 8), "64 bytes"));
    CHECK(says(with(entry + 8, std::uint64_t{0}), "outside"));
    CHECK(says(with(entry + 8, std::uint64_t{1} << 40), "outside"));
    CHECK(says(with(entry + 16, ~std::uint64_t{0}), "outside"));
    CHECK(says(with(entry + 16, std::uint64_t{1} << 61), "outside"));
    CHECK(says(with(entry + 16, std::uint64_t{good.size()}), "outside"));
    if (i == 0) continue;
    const auto before = number_at<std::uint64_t>(good, entry - 24 + 8);
    const bool is_empty = number_at<std::uint64_t>(good, entry - 24 + 16) == 0;
    if (!is_empty) CHECK(says(with(entry + 8, before), "before the end"));
  }
}

TEST(every_field_of_the_records_is_checked) {
  // input: dtype, width, name bytes, zero, name
  CHECK(says(with(kProgram, std::uint32_t{1}), "input 0"));
  CHECK(says(with(kProgram, std::uint32_t{99}), "input 0"));
  CHECK(says(with(kProgram + 4, std::uint32_t{0}), "0 columns"));
  CHECK(says(with(kProgram + 4, (1U << 20) + 1), "columns, not"));
  CHECK(says(with(kProgram + 4, std::uint32_t{4}), "step 0 (divide)"));
  CHECK(says(with(kProgram + 8, std::uint32_t{0}), "input 0"));
  CHECK(says(with(kProgram + 8, ~std::uint32_t{0}), "cut off"));
  CHECK(says(with(kProgram + 12, std::uint32_t{1}), "cut off"));
  CHECK(says(with(kProgram + 16, '\xff'), "UTF-8"));
  CHECK(says(with(kProgram + 16 + 7, '\x01'), "cut off"));  // padding
  // step 0: op, inputs, arrays, scalars, input id, array id; behind two inputs of 24 bytes
  const std::size_t step = kProgram + 48;
  CHECK(says(with(step, std::uint32_t{0}), "no op 0"));
  CHECK(says(with(step, std::uint32_t{36}), "no op 36"));
  CHECK(says(with(step + 4, ~std::uint32_t{0}), "cut off"));
  CHECK(says(with(step + 8, ~std::uint32_t{0}), "cut off"));
  CHECK(says(with(step + 12, ~std::uint32_t{0}), "cut off"));
  CHECK(says(with(step + 16, std::uint32_t{2}), "does not come before"));
  CHECK(says(with(step + 16, ~std::uint32_t{0}), "does not come before"));
  CHECK(says(with(step + 16, std::uint32_t{1}), "string"));
  CHECK(says(with(step + 20, std::uint32_t{4096}), "no array 4096"));
  CHECK(says(with(step + 20, std::uint32_t{1}), "another step's"));
}

TEST(outputs_are_checked) {
  const auto file = [](std::uint32_t value, bool flat, std::string_view second) {
    ForestWriter writer;
    const auto x = writer.input("x", DType::kFloat64, 2);
    writer.output("a", x);
    writer.output(second, value, flat);
    return writer.bytes();
  };
  CHECK_EQ(complaint(file(0, false, "b")), "");
  CHECK(says(file(1, false, "b"), "no value 1"));
  CHECK(says(file(0, true, "b"), "flat"));
  CHECK(says(file(0, false, "a"), "taken"));
  CHECK(says(file(0, false, ""), "name"));
  CHECK(says(file(0, false, std::string(1025, 'n')), "name"));
  CHECK(says(file(0, false, "\xc0\x80"), "UTF-8"));
  CHECK(says(file(0, false, "\xed\xa0\x80"), "UTF-8"));
  CHECK(says(file(0, false, "\xe2\x82"), "UTF-8"));
  CHECK_EQ(complaint(file(0, false, "\xe2\x82\xac")), "");
}

TEST(a_file_cut_off_anywhere_is_refused) {
  const std::string good = sample_file();
  for (std::size_t size = 0; size < good.size(); ++size) {
    std::string bytes = good.substr(0, size);
    CHECK(!complaint(bytes).empty());
    seal(bytes);  // even if the header says that it is whole
    const bool only_padding = good.find_first_not_of('\0', size) == std::string::npos;
    if (!only_padding) CHECK(!complaint(bytes).empty());
  }
  CHECK(!complaint(good + '\0').empty());
}

TEST(a_flipped_bit_anywhere_is_noticed) {
  const std::string good = sample_file();
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
    CHECK(!complaint(bytes).empty());
  }
}

TEST(a_row_of_too_many_numbers_is_refused) {
  ForestWriter writer;
  auto x = writer.input("x", DType::kFloat64, 1);
  std::uint32_t sum = writer.step(Op::kOneHot, {x}, {}, {1048576, 0});
  for (int i = 0; i < 8; ++i) {
    const auto more = writer.step(Op::kOneHot, {x}, {}, {1048576, 0});
    sum = writer.step(Op::kAdd, {sum, more});
  }
  writer.output("y", sum);
  CHECK_EQ(complaint(writer.bytes()), "");  // memory is used again
  std::vector<std::uint32_t> parts;
  ForestWriter greedy;
  x = greedy.input("x", DType::kFloat64, 1);
  for (int i = 0; i < 8; ++i) parts.push_back(greedy.step(Op::kOneHot, {x}, {}, {1048576, 0}));
  for (const std::uint32_t part : parts) greedy.output(std::to_string(part), part);
  CHECK(says(greedy.bytes(), "32 MiB"));
}

}  // namespace
}  // namespace slipstream::forest
