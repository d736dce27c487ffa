#include "bindings/pinned_arrays.h"

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "bindings/errors.h"
#include "cuda/cuda_device.h"
#include "device/device.h"

namespace py = pybind11;

namespace slipstream::bindings {
namespace {

// What is locked now. Most processes never lock any: those pay for one look at a counter.
struct Ranges {
  std::shared_mutex mutex;
  std::map<const std::byte*, std::size_t, std::less<>> bytes;  // by where they begin
  std::atomic<std::size_t> count{0};
};

Ranges& ranges() {
  static auto& the_ranges = *new Ranges;  // arrays may outlive static objects
  return the_ranges;
}

class PinnedMemory {
 public:
  PinnedMemory(std::shared_ptr<device::Device> device, std::unique_ptr<device::Block> block)
      : device_(std::move(device)), block_(std::move(block)) {
    const std::unique_lock lock(ranges().mutex);
    ranges().bytes.emplace(begin(), block_->bytes());
    ranges().count.fetch_add(1);
  }
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;
  ~PinnedMemory() {
    const std::unique_lock lock(ranges().mutex);
    ranges().bytes.erase(begin());
    ranges().count.fetch_sub(1);
  }

  [[nodiscard]] const std::byte* begin() const noexcept {
    return static_cast<const std::byte*>(block_->address());
  }

 private:
  std::shared_ptr<device::Device> device_;
  std::unique_ptr<device::Block> block_;
};

Result<std::unique_ptr<PinnedMemory>> lock_memory(std::size_t bytes, int ordinal) {
  const py::gil_scoped_release release;  // the driver takes its time
  Result<std::shared_ptr<cuda::CudaDevice>> device = cuda::CudaDevice::open(ordinal);
  if (!device.is_ok()) return device.status();
  const device::Entered entered(*device.value());
  Result<std::unique_ptr<device::Block>> block = device.value()->allocate_pinned(bytes);
  if (!block.is_ok()) return block.status();
  return std::make_unique<PinnedMemory>(std::move(device).value(), std::move(block).value());
}

}  // namespace

py::array make_pinned_array(const std::vector<py::ssize_t>& shape, const py::dtype& dtype,
                            int device) {
  std::size_t bytes = static_cast<std::size_t>(dtype.itemsize());
  for (const py::ssize_t dim : shape) {
    if (dim < 0 || __builtin_mul_overflow(bytes, static_cast<std::size_t>(dim), &bytes)) {
      raise_status(invalid_argument("there is no array of that shape"));
    }
  }
  Result<std::unique_ptr<PinnedMemory>> memory = lock_memory(bytes == 0 ? 1 : bytes, device);
  if (!memory.is_ok()) raise_status(memory.status());
  const py::capsule keeper(memory.value().get(), [](void* object) {
    const py::gil_scoped_release release;  // it may wait for what is in progress on the device
    delete static_cast<PinnedMemory*>(object);
  });
  return {dtype, shape, std::move(memory).value().release()->begin(), keeper};
}

bool is_pinned(const void* data, std::size_t bytes) noexcept {
  Ranges& known = ranges();
  if (known.count.load() == 0) return false;
  const auto* const begin = static_cast<const std::byte*>(data);
  const std::shared_lock lock(known.mutex);
  auto after = known.bytes.upper_bound(begin);
  if (after == known.bytes.begin()) return false;
  const auto& [from, size] = *std::prev(after);
  return bytes <= size && static_cast<std::size_t>(begin - from) <= size - bytes;
}

}  // namespace slipstream::bindings
