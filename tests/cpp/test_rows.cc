// Gathering rows of many requests into one tensor, and joining the parts of an answer.
#include "core/staging/rows.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "harness.h"

namespace slipstream {
namespace {

Tensor numbers(std::int32_t first, std::int64_t rows, std::int64_t width) {
  Tensor tensor = Tensor::allocate(DType::kInt32, {rows, width});
  for (std::int32_t& value : tensor.as<std::int32_t>()) value = first++;
  return tensor;
}

Tensor texts(const std::vector<std::string>& values, std::int64_t width) {
  Tensor tensor =
      Tensor::allocate(DType::kString, {static_cast<std::int64_t>(values.size()) / width, width});
  std::ranges::copy(values, tensor.strings().begin());
  return tensor;
}

// Requests that only have inputs, and a batch over ranges of them.
struct Gathering {
  std::array<Request, 3> requests;
  Batch batch;

  void add(std::size_t index, Tensor input, std::int64_t begin, std::int64_t end) {
    Request& request = requests.at(index);
    request.rows = input.rows();
    request.inputs.clear();
    request.inputs.push_back(std::move(input));
    batch.parts.push_back({&request, begin, end});
    batch.rows += end - begin;
  }
  Tensor gather() { return gather_rows(batch, 0, std::pmr::new_delete_resource()); }
};

template <class T>
bool holds(const Tensor& tensor, const std::vector<T>& expected) {
  return std::ranges::equal(tensor.as<T>(), expected);
}

TEST(rows_of_several_requests_are_gathered_in_order) {
  Gathering gathering;
  gathering.add(0, numbers(0, 2, 2), 0, 2);
  gathering.add(1, numbers(100, 4, 2), 1, 3);  // a range in the middle
  gathering.add(2, numbers(200, 1, 2), 0, 1);
  const Tensor gathered = gathering.gather();
  CHECK_EQ(gathered.rows(), 5);
  CHECK_EQ(gathered.shape()[1], 2);
  CHECK(holds<std::int32_t>(gathered, {0, 1, 2, 3, 102, 103, 104, 105, 200, 201}));
}

TEST(one_request_is_viewed_and_not_copied) {
  Gathering whole;
  const Tensor input = numbers(0, 3, 2);
  whole.add(0, input, 0, 3);
  CHECK(whole.gather().data() == input.data());
  Gathering range;
  range.add(0, input, 1, 2);
  const Tensor view = range.gather();
  CHECK(view.data() == input.data() + input.row_bytes());
  CHECK_EQ(view.rows(), 1);
}

TEST(strings_are_copied_as_objects) {
  const std::string long_text(100, 'x');  // does not fit into the string object itself
  Gathering gathering;
  gathering.add(0, texts({"a", long_text}, 1), 0, 2);
  gathering.add(1, texts({"b", "c", long_text + "y"}, 1), 1, 3);
  Tensor gathered = gathering.gather();
  for (Request& request : gathering.requests) request.inputs.clear();  // the copies live on
  CHECK(holds<std::string>(gathered, {"a", long_text, "c", long_text + "y"}));
}

TEST(tensors_without_elements_are_gathered) {
  Gathering gathering;
  gathering.add(0, numbers(0, 2, 0), 0, 2);  // two rows of no columns
  gathering.add(1, numbers(0, 3, 0), 0, 3);
  const Tensor gathered = gathering.gather();
  CHECK_EQ(gathered.rows(), 5);
  CHECK_EQ(gathered.elements(), 0);
}

TEST(every_element_size_is_copied) {
  for (int code = 0; code < kDTypeCount - 1; ++code) {
    const auto dtype = static_cast<DType>(code);
    Gathering gathering;
    Tensor a = Tensor::allocate(dtype, {1, 3});
    Tensor b = Tensor::allocate(dtype, {2, 3});
    std::fill_n(a.data(), a.bytes(), std::byte{1});
    std::fill_n(b.data(), b.bytes(), std::byte{2});
    const std::size_t a_bytes = a.bytes();
    gathering.add(0, std::move(a), 0, 1);
    gathering.add(1, std::move(b), 0, 2);
    const Tensor gathered = gathering.gather();
    CHECK(gathered.dtype() == dtype);
    for (std::size_t i = 0; i < gathered.bytes(); ++i) {
      CHECK(gathered.data()[i] == (i < a_bytes ? std::byte{1} : std::byte{2}));
    }
  }
}

TEST(pieces_are_joined_also_when_some_are_empty) {
  const std::vector<Tensor> pieces{numbers(0, 1, 2), numbers(0, 0, 2), numbers(10, 2, 2)};
  const Tensor whole = concat_rows(pieces, std::pmr::new_delete_resource());
  CHECK_EQ(whole.rows(), 3);
  CHECK(holds<std::int32_t>(whole, {0, 1, 10, 11, 12, 13}));
  const std::vector<Tensor> nothing{numbers(0, 0, 2), numbers(0, 0, 2)};
  CHECK_EQ(concat_rows(nothing, std::pmr::new_delete_resource()).rows(), 0);
  const std::vector<Tensor> strings{texts({"a", "b"}, 2), texts({"c", "d"}, 2)};
  CHECK(holds<std::string>(concat_rows(strings, std::pmr::new_delete_resource()),
                           {"a", "b", "c", "d"}));
}

// Counts what is outstanding, and refuses above a limit.
class LimitedMemory : public std::pmr::memory_resource {
 public:
  explicit LimitedMemory(std::size_t limit) : limit_(limit) {}
  std::size_t outstanding = 0;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (outstanding + bytes > limit_) throw std::bad_alloc();
    outstanding += bytes;
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* data, std::size_t bytes, std::size_t alignment) override {
    outstanding -= bytes;
    std::pmr::new_delete_resource()->deallocate(data, bytes, alignment);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  std::size_t limit_;
};

TEST(memory_comes_from_the_resource_given_and_goes_back) {
  LimitedMemory memory(1024);
  {
    Gathering gathering;
    gathering.add(0, numbers(0, 2, 2), 0, 2);
    gathering.add(1, numbers(0, 2, 2), 0, 2);
    const Tensor gathered = gather_rows(gathering.batch, 0, &memory);
    CHECK(memory.outstanding >= gathered.bytes());
  }
  CHECK_EQ(memory.outstanding, 0U);
  Gathering large;
  large.add(0, numbers(0, 200, 2), 0, 200);
  large.add(1, numbers(0, 200, 2), 0, 200);
  bool refused = false;
  try {
    (void)gather_rows(large.batch, 0, &memory);
  } catch (const std::bad_alloc&) {
    refused = true;
  }
  CHECK(refused);
  CHECK_EQ(memory.outstanding, 0U);
}

}  // namespace
}  // namespace slipstream
