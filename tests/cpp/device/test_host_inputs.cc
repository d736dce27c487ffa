// What a computation reads on the host is all there, wherever a batch's rows came from.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "device/doubling.h"
#include "harness.h"

using namespace slipstream;
using namespace slipstream::device;

TEST(what_is_read_on_the_host_is_all_there) {
  const auto device = std::make_shared<SimulatedDevice>();
  Doubling doubling(*device, 5'000);
  doubling.is_on_host = true;
  doubling.pads_to = 4;
  auto created = Pipeline::create(device, doubling, doubling_spec(), {.slots = 1});
  REQUIRE(created.is_ok());
  const std::unique_ptr<Pipeline> pipeline = std::move(created).value();
  constexpr std::size_t kWidth = 100'000;
  std::vector<Tensor> inputs{doubling_rows(3, 3, kWidth)};
  inputs[0].set_pinned();  // elsewhere it would be copied from where it lies
  const auto given = inputs[0].as<std::uint8_t>();
  for (const std::int64_t rows : {1, 3}) {
    const Piece piece{.inputs = inputs, .begin_row = 0, .end_row = rows};
    pipeline->launch({.pieces = {&piece, 1}, .rows = rows});
    Status how;
    std::vector<Tensor> outputs;
    while (!pipeline->finished(how, outputs)) std::this_thread::yield();
    REQUIRE(how.is_ok());
    CHECK(is_right(outputs.at(0), 3, rows, kWidth));
    REQUIRE(doubling.seen_on_host.size() == 4 * kWidth);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < 4 * kWidth; ++i) {
      const std::size_t row = std::min(i / kWidth, static_cast<std::size_t>(rows) - 1);
      wrong += doubling.seen_on_host[i] == given[row * kWidth + i % kWidth] ? 0U : 1U;
    }
    CHECK_EQ(wrong, 0U);
  }
}
