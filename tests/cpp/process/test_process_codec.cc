// The codec against a worker that lies: hostile bytes give a Status, never a read outside.
#include <cstring>
#include <random>

#include "backends/process/codec.h"
#include "backends/process/protocol.h"
#include "process_fixture.h"

namespace {

using namespace process_test;
using namespace slipstream::process;
using slipstream::TensorSpec;

constexpr std::size_t kMiB = 1 << 20;

std::span<const std::byte> body_of(const Segment& segment, std::uint64_t bytes) {
  return {segment.data(), bytes};
}

std::vector<TensorSpec> two_specs() {
  return {{.name = "numbers", .dtype = DType::kInt32, .dims = {-1, 2}},
          {.name = "words", .dtype = DType::kString, .dims = {-1}}};
}

std::vector<Tensor> two_tensors() {
  std::vector<Tensor> tensors{Tensor::allocate(DType::kInt32, {3, 2}), strings({"a", "", "ccc"})};
  for (std::int32_t i = 0; i < 6; ++i) tensors[0].as<std::int32_t>()[static_cast<size_t>(i)] = i;
  return tensors;
}

// Reads a message from an exactly fitting heap block, so that ASan sees one byte too many.
Status read(const std::vector<std::byte>& body, std::vector<Tensor>& outputs,
            std::uint64_t wanted = ~std::uint64_t{0}) {
  return read_tensors(body, two_specs(), {.inputs = {}, .outputs_wanted = wanted}, outputs);
}

std::vector<std::byte> good_message() {
  Segment segment = must(Segment::create("test", kMiB));
  const auto body = body_of(segment, must(write_tensors(segment, two_tensors())));
  return {body.begin(), body.end()};
}

template <class T>
void patch(std::vector<std::byte>& body, std::size_t at, T value) {
  std::memcpy(body.data() + at, &value, sizeof(value));
}

}  // namespace

TEST(a_message_reads_back_as_written) {
  std::vector<Tensor> outputs;
  REQUIRE(read(good_message(), outputs).is_ok());
  CHECK(outputs[0].shape() == (Shape{3, 2}));
  CHECK_EQ(outputs[0].as<std::int32_t>()[5], 5);
  CHECK_EQ(outputs[1].strings()[2], std::string("ccc"));
}

TEST(lies_about_dtype_rank_dimensions_and_payload_are_refused) {
  constexpr std::size_t kDims = sizeof(TensorEntry);            // of the first tensor
  constexpr std::size_t kSecond = kDims + 2 * sizeof(int64_t);  // the second tensor's entry
  struct Lie {
    const char* what;
    std::size_t at;
    std::uint64_t value;
    std::size_t bytes;
  };
  const Lie lies[] = {
      {"dtype", offsetof(TensorEntry, dtype), 4, 1},
      {"unknown dtype", offsetof(TensorEntry, dtype), 200, 1},
      {"absent though wanted", offsetof(TensorEntry, present), 0, 1},
      {"rank", offsetof(TensorEntry, rank), 1, 4},
      {"huge rank", offsetof(TensorEntry, rank), 0xffffffff, 4},
      {"offset", offsetof(TensorEntry, offset), 1 << 20, 8},
      {"offset that wraps", offsetof(TensorEntry, offset), ~std::uint64_t{0} - 7, 8},
      {"size", offsetof(TensorEntry, bytes), ~std::uint64_t{0}, 8},
      {"size that does not match", offsetof(TensorEntry, bytes), 20, 8},
      {"negative dimension", kDims, ~std::uint64_t{0}, 8},
      {"more rows", kDims, 4, 8},
      {"rows that overflow", kDims, std::uint64_t{1} << 62, 8},
      {"fixed dimension", kDims + 8, 3, 8},
      {"more strings", kSecond + sizeof(TensorEntry), 1000, 8},
      {"billions of strings", kSecond + sizeof(TensorEntry), std::uint64_t{1} << 60, 8},
      {"string payload cut", kSecond + offsetof(TensorEntry, bytes), 33, 8},
      {"string payload without its table", kSecond + offsetof(TensorEntry, bytes), 0, 8}};
  for (const Lie& lie : lies) {
    std::vector<std::byte> body = good_message();
    std::memcpy(body.data() + lie.at, &lie.value, lie.bytes);
    std::vector<Tensor> outputs;
    const Status status = read(body, outputs);
    if (status.code() != StatusCode::kInternal) std::cerr << "accepted: " << lie.what << '\n';
    CHECK(status.code() == StatusCode::kInternal);
  }
}

TEST(string_offsets_must_ascend_inside_the_payload) {
  const std::vector<std::byte> good = good_message();
  TensorEntry entry;
  std::memcpy(&entry, good.data() + sizeof(TensorEntry) + 16, sizeof(entry));
  for (const std::uint64_t value : {std::uint64_t{5}, std::uint64_t{1} << 63}) {
    std::vector<std::byte> body = good;
    patch(body, entry.offset + 2 * sizeof(std::uint64_t), value);
    std::vector<Tensor> outputs;
    CHECK(read(body, outputs).code() == StatusCode::kInternal);
  }
}

TEST(truncated_messages_are_refused_at_every_length) {
  const std::vector<std::byte> good = good_message();
  for (std::size_t length = 0; length < good.size(); ++length) {
    const std::vector<std::byte> body(good.begin(),
                                      good.begin() + static_cast<std::ptrdiff_t>(length));
    std::vector<Tensor> outputs;
    CHECK(!read(body, outputs).is_ok());
  }
}

TEST(random_damage_never_reads_outside_the_message) {
  std::mt19937 random(7);
  const std::vector<std::byte> good = good_message();
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::byte> body = good;
    for (int i = 0; i < 3; ++i) body[random() % body.size()] = static_cast<std::byte>(random());
    std::vector<Tensor> outputs;
    const Status status = read(body, outputs);
    if (status.is_ok()) CHECK_EQ(outputs.size(), 2U);
  }
}

TEST(an_unwanted_output_may_be_absent) {
  std::vector<std::byte> body = good_message();
  patch(body, offsetof(TensorEntry, present), std::uint8_t{0});
  // Absent entries carry no dimensions: cut those of the first tensor out.
  body.erase(body.begin() + sizeof(TensorEntry), body.begin() + sizeof(TensorEntry) + 16);
  body.insert(body.begin() + 2 * sizeof(TensorEntry) + 8, 16, std::byte{0});
  std::vector<Tensor> outputs;
  REQUIRE(read(body, outputs, 0b10).is_ok());
  CHECK(outputs[0].data() == nullptr);
  CHECK_EQ(outputs[1].strings()[0], std::string("a"));
}

TEST(specifications_are_checked) {
  std::vector<std::byte> body(sizeof(SpecHeader) + sizeof(SpecEntry) + 8 + 8);
  patch(body, 0, SpecHeader{.batchable = 1, .inputs = 1, .outputs = 0});
  patch(body, sizeof(SpecHeader), SpecEntry{.name_bytes = 1, .dtype = 11, .rank = 1});
  patch(body, sizeof(SpecHeader) + sizeof(SpecEntry), std::int64_t{-1});
  patch(body, sizeof(SpecHeader) + sizeof(SpecEntry) + 8, 'x');
  const auto spec = must(read_spec(body));
  CHECK(spec.batchable);
  CHECK_EQ(spec.inputs.at(0).name, std::string("x"));
  CHECK(spec.inputs.at(0).dtype == DType::kFloat32);

  for (std::size_t length = 0; length < body.size(); ++length) {
    CHECK(!read_spec(std::span(body).first(length)).is_ok());
  }
  auto fixed = body;
  patch(fixed, sizeof(SpecHeader) + sizeof(SpecEntry), std::int64_t{4});
  CHECK(contains(read_spec(fixed).status(), "batchable"));
  auto many = body;
  patch(many, offsetof(SpecHeader, inputs), ~std::uint32_t{0});
  CHECK(!read_spec(many).is_ok());
  auto dtype = body;
  patch(dtype, sizeof(SpecHeader) + offsetof(SpecEntry, dtype), std::uint8_t{14});
  CHECK(!read_spec(dtype).is_ok());
}

TEST(a_segment_grows_keeps_its_bytes_and_stops_at_its_limit) {
  Segment segment = must(Segment::create("test", kMiB));
  const std::size_t before = segment.size();
  segment.data()[0] = std::byte{42};
  REQUIRE(segment.reserve(before + 1).is_ok());
  CHECK(segment.size() >= 2 * before);
  CHECK(segment.data()[0] == std::byte{42});
  REQUIRE(segment.reserve(kMiB).is_ok());
  CHECK_EQ(segment.size(), kMiB);
  const Status status = segment.reserve(kMiB + 1);
  CHECK(status.code() == StatusCode::kInvalidArgument);
  CHECK(contains(status, "max_message_mb"));
  CHECK(segment.follow(kMiB + 1).code() == StatusCode::kInternal);
  // Sealed: what is mapped stays backed, whatever the other side does.
  CHECK(ftruncate(segment.fd(), 4096) != 0);
}

TEST(a_reader_does_not_believe_a_size_that_is_not_there) {
  Segment segment = must(Segment::create("test", kMiB));
  CHECK(segment.follow(segment.size() + 1).code() == StatusCode::kInternal);
}

TEST(ranks_beyond_numpys_are_refused) {
  Segment segment = must(Segment::create("test", kMiB));
  const std::vector<std::int64_t> dims(kMaxRank + 1, 1);
  const std::vector<Tensor> tensors{Tensor::allocate(DType::kInt8, Shape(dims))};
  CHECK(write_tensors(segment, tensors).status().code() == StatusCode::kInvalidArgument);
}
