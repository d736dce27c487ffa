// A batch of images on its way to a device: gathered by one thread or with helpers, on a stream
// that copies nothing, beside bare copies of the same rows. Nanoseconds, or -1 when it came out
// wrong.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "core/helper_pool.h"
#include "device/device.h"
#include "device/gatherer.h"
#include "export.h"

namespace {

using namespace slipstream;
using namespace slipstream::device;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kRowBytes = std::size_t{3} * 224 * 224 * 4;
constexpr std::size_t kRows = 64;

// Takes what it is given as copied at once.
class NowhereStream final : public Stream {
 public:
  Status copy_to_device(void* /*to*/, const void* /*from*/, std::size_t bytes) noexcept override {
    copied_bytes += bytes;
    return Status::ok();
  }
  Status copy_to_host(void* /*to*/, const void* /*from*/, std::size_t /*bytes*/) noexcept override {
    return Status::ok();
  }
  Status record(Event& /*event*/) noexcept override { return Status::ok(); }
  Status wait(Event& /*event*/) noexcept override { return Status::ok(); }
  Status call(void (*function)(void*) noexcept, void* context) noexcept override {
    function(context);
    return Status::ok();
  }
  Status begin_capture() noexcept override { return failed_precondition("it captures nothing"); }
  Result<std::unique_ptr<Graph>> end_capture() noexcept override {
    return failed_precondition("it captures nothing");
  }
  Status launch(Graph& /*graph*/) noexcept override { return Status::ok(); }
  void* native() noexcept override { return nullptr; }

  std::size_t copied_bytes = 0;
};

struct Images {
  Images() {
    for (std::size_t i = 0; i < kRows; ++i) rows.emplace_back(kRowBytes, static_cast<std::byte>(i));
  }
  std::vector<std::vector<std::byte>> rows;
  std::vector<std::byte> gathered = std::vector<std::byte>(kRows * kRowBytes);
};

bool gather(Images& images, HelperPool& pool, std::size_t helpers,
            std::vector<Gatherer::Part>& parts) {
  NowhereStream stream;
  bool has_sent = false;
  Gatherer gatherer(images.gathered.data(), nullptr, stream, pool.hire(helpers), parts, has_sent);
  for (const auto& row : images.rows) {
    if (!gatherer.add(row.data(), row.size()).is_ok()) return false;
  }
  return gatherer.flush().is_ok() && stream.copied_bytes == images.gathered.size();
}

}  // namespace

// `helpers` beside the caller; -1: bare copies.
SLIPSTREAM_BENCH_EXPORT std::int64_t time_gather(std::int64_t helpers, std::int64_t calls) {
  static auto& pool = *new HelperPool(5);  // as long as the process, as its helpers
  Images images;
  std::vector<Gatherer::Part> parts;
  std::int64_t elapsed_ns = 0;
  for (std::int64_t call = -1; call < calls; ++call) {  // the first only touches the memory
    const Clock::time_point begin = Clock::now();
    if (helpers < 0) {
      for (std::size_t i = 0; i < kRows; ++i) {
        std::memcpy(images.gathered.data() + i * kRowBytes, images.rows[i].data(), kRowBytes);
      }
    } else if (!gather(images, pool, static_cast<std::size_t>(helpers), parts)) {
      return -1;
    }
    const auto took = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin);
    if (call >= 0) elapsed_ns += took.count();
  }
  for (std::size_t i = 0; i < kRows; ++i) {
    const std::byte* const row = images.gathered.data() + i * kRowBytes;
    if (std::memcmp(row, images.rows[i].data(), kRowBytes) != 0) return -1;
  }
  return elapsed_ns;
}
