// The pipeline on the simulated device: overlap, order, back-pressure, and what is copied where.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "device/pipeline_driver.h"
#include "harness.h"

using namespace slipstream;
using namespace slipstream::device;

namespace {

Nanoseconds time_of(std::size_t batches, std::size_t slots, Nanoseconds copy_ns,
                    Nanoseconds compute_ns) {
  const auto device = std::make_shared<SimulatedDevice>(SimulatedOptions{.copy_ns = copy_ns});
  Doubling doubling(*device, compute_ns);
  const auto pipeline = made(device, doubling, slots);
  Driver driver(*pipeline);
  driver.run(batches);
  CHECK_EQ(driver.ended.size(), batches);
  CHECK(std::ranges::all_of(driver.ended, [](const Status& how) { return how.is_ok(); }));
  return device->host_ns();
}

}  // namespace

TEST(stages_overlap_whichever_is_the_slowest) {
  constexpr std::size_t kBatches = 200;
  struct Stages {
    Nanoseconds copy_ns;
    Nanoseconds compute_ns;
  };
  for (const auto& [copy_ns, compute_ns] :
       {Stages{kCopyNs, kComputeNs}, Stages{5'000, 2'000}, Stages{3'000, 3'000}}) {
    const Nanoseconds slowest = std::max(copy_ns, compute_ns);
    const Nanoseconds fill_ns = 2 * copy_ns + compute_ns - slowest;
    const auto ideal = static_cast<double>(slowest * static_cast<Nanoseconds>(kBatches) + fill_ns);
    const auto took = static_cast<double>(time_of(kBatches, 4, copy_ns, compute_ns));
    CHECK(took >= ideal);
    CHECK(took <= 1.1 * ideal);
  }
}

TEST(one_slot_overlaps_nothing) {
  CHECK_EQ(time_of(20, 1, kCopyNs, kComputeNs), 20 * (2 * kCopyNs + kComputeNs));
}

TEST(nothing_is_allocated_once_the_largest_batch_has_come_by) {
  const auto device = std::make_shared<SimulatedDevice>();
  Doubling doubling(*device, kComputeNs);
  {
    const auto pipeline = made(device, doubling, 3);
    Driver driver(*pipeline);
    driver.run(6);
    const std::uint64_t allocations = device->allocations();
    for (int i = 0; i < 100; ++i) {
      driver.launch(1 + i % kMaxRows);
      if (i % 3 == 2) driver.take_all();
    }
    driver.take_all();
    CHECK_EQ(device->allocations(), allocations);
  }
  CHECK_EQ(device->blocks(), 0U);
}

TEST(pieces_are_gathered_in_order) {
  const auto device = std::make_shared<SimulatedDevice>();
  Doubling doubling(*device, kComputeNs);
  const auto pipeline = made(device, doubling, 2);
  const Tensor whole = doubling_rows(7, 6, kWidth);
  // Rows 4 to 6 of a larger request, then a whole one, so that both kinds are there.
  const std::vector<Tensor> first{doubling_rows(7, 9, kWidth)};
  const std::vector<Tensor> second{whole};
  const std::vector<Piece> pieces{{.inputs = first, .begin_row = 4, .end_row = 6},
                                  {.inputs = second, .begin_row = 0, .end_row = 6}};
  pipeline->launch({.pieces = pieces, .rows = 8});
  const std::vector<Tensor> outputs = answer_of(*pipeline);
  const auto bytes = outputs.at(0).as<std::uint8_t>();
  const auto in_first = first[0].as<std::uint8_t>();
  const auto in_second = whole.as<std::uint8_t>();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::size_t row = i / kWidth;
    const std::uint8_t from =
        row < 2 ? in_first[i + 4 * kWidth] : in_second[i - std::size_t{2} * kWidth];
    CHECK_EQ(bytes[i], Doubling::answer(from, row));
  }
}

TEST(large_batches_are_sent_while_they_are_gathered) {
  const auto device = std::make_shared<SimulatedDevice>();
  Doubling doubling(*device, kComputeNs);
  const auto pipeline = made(device, doubling, 2);
  const std::int64_t width = 3'000'000;  // three chunks
  const std::vector<Tensor> inputs{doubling_rows(1, 1, width)};
  const Piece piece{.inputs = inputs, .begin_row = 0, .end_row = 1};
  pipeline->launch({.pieces = {&piece, 1}, .rows = 1});
  const std::vector<Tensor> outputs = answer_of(*pipeline);
  CHECK(is_right(outputs.at(0), 1, 1, width));
  CHECK_EQ(device->busy_ns(SimulatedEngine::kCopyIn), 3 * SimulatedOptions{}.copy_ns);
}

TEST(large_pinned_pieces_are_copied_where_they_lie) {
  const auto device = std::make_shared<SimulatedDevice>();
  Doubling doubling(*device, kComputeNs);
  const auto pipeline = made(device, doubling, 2);
  const std::int64_t width = 100'000;
  // A small one before, between and behind two that the device takes itself.
  std::vector<std::vector<Tensor>> requests;
  for (const std::int64_t rows : {1, 2, 1, 3, 1}) {
    requests.push_back({doubling_rows(requests.size(), rows, width)});
    if (rows > 1) requests.back()[0].set_pinned();
  }
  std::vector<Piece> pieces;
  std::int64_t rows = 0;
  for (const auto& inputs : requests) {
    pieces.push_back({.inputs = inputs, .begin_row = 0, .end_row = inputs[0].rows()});
    rows += inputs[0].rows();
  }
  // Of the first only the last row: views keep where their memory is.
  pieces[1].begin_row = 1;
  rows -= 1;
  pipeline->launch({.pieces = pieces, .rows = rows});
  const std::vector<Tensor> outputs = answer_of(*pipeline);
  REQUIRE(outputs.at(0).rows() == rows);
  const auto bytes = outputs[0].as<std::uint8_t>();
  std::size_t at = 0;
  for (const Piece& piece : pieces) {
    const Tensor sent = piece.inputs[0].slice_rows(piece.begin_row, piece.end_row);
    CHECK_EQ(sent.is_pinned(), piece.inputs[0].is_pinned());
    std::size_t wrong = 0;
    for (const std::uint8_t value : sent.as<std::uint8_t>()) {
      const std::size_t row = at / static_cast<std::size_t>(width);
      wrong += bytes[at++] == Doubling::answer(value, row) ? 0U : 1U;
    }
    CHECK_EQ(wrong, 0U);
  }
  CHECK_EQ(device->busy_ns(SimulatedEngine::kCopyIn), 5 * SimulatedOptions{}.copy_ns);
}

TEST(what_is_copied_where_it_lies_is_padded_too) {
  const auto device = std::make_shared<SimulatedDevice>();
  Doubling doubling(*device, kComputeNs);
  doubling.pads_to = 4;
  const auto pipeline = made(device, doubling, 1);
  const std::int64_t width = 100'000;
  std::vector<Tensor> inputs{doubling_rows(3, 2, width)};
  inputs[0].set_pinned();
  const Piece piece{.inputs = inputs, .begin_row = 0, .end_row = 2};
  pipeline->launch({.pieces = {&piece, 1}, .rows = 2});
  const std::vector<Tensor> outputs = answer_of(*pipeline);
  CHECK(is_right(outputs.at(0), 3, 2, width));
  CHECK_EQ(doubling.odd_padding.load(), 0);
}

TEST(answers_outlive_the_pipeline_and_hold_up_nothing) {
  const auto device = std::make_shared<SimulatedDevice>();
  Doubling doubling(*device, kComputeNs);
  std::vector<Tensor> kept;
  {
    // Room for two answers: those behind are copied once more instead.
    auto pipeline = Pipeline::create(device, doubling, doubling_spec(), {.answers_bytes = 2048});
    REQUIRE(pipeline.is_ok());
    for (std::size_t batch = 0; batch < 6; ++batch) {
      const std::vector<Tensor> inputs{doubling_rows(batch, kMaxRows, kWidth)};
      const Piece piece{.inputs = inputs, .begin_row = 0, .end_row = kMaxRows};
      pipeline.value()->launch({.pieces = {&piece, 1}, .rows = kMaxRows});
      kept.push_back(answer_of(*pipeline.value()).at(0));
    }
    CHECK_EQ(pipeline.value()->answers().locked_bytes(), 2048U);
  }
  for (std::size_t batch = 0; batch < kept.size(); ++batch) {
    CHECK(is_right(kept[batch], batch, kMaxRows, kWidth));
  }
  CHECK_EQ(device->blocks(), 2U);
  kept.clear();
  CHECK_EQ(device->blocks(), 0U);
}

TEST(an_unwanted_output_is_left_out) {
  const auto device = std::make_shared<SimulatedDevice>();
  Doubling doubling(*device, kComputeNs);
  const auto pipeline = made(device, doubling, 1);
  const std::vector<Tensor> inputs{doubling_rows(0, 1, kWidth)};
  const Piece piece{.inputs = inputs, .begin_row = 0, .end_row = 1};
  pipeline->launch({.pieces = {&piece, 1}, .rows = 1, .outputs_wanted = 0});
  const std::vector<Tensor> outputs = answer_of(*pipeline);
  REQUIRE(outputs.size() == 1);
  CHECK(outputs[0].data() == nullptr);
  CHECK_EQ(device->busy_ns(SimulatedEngine::kCopyOut), 0);
}

TEST(the_last_row_pads_a_batch_and_is_left_out_of_its_answer) {
  const auto device = std::make_shared<SimulatedDevice>();
  Doubling doubling(*device, kComputeNs);
  doubling.pads_to = 4;
  const auto pipeline = made(device, doubling, 3);
  Driver driver(*pipeline);  // which compares shapes, too
  for (std::int64_t rows = 1; rows <= 9; ++rows) {
    driver.launch(rows);
    driver.take_all();
  }
  REQUIRE(driver.ended.size() == 9);
  CHECK(std::ranges::all_of(driver.ended, [](const Status& how) { return how.is_ok(); }));
  CHECK_EQ(doubling.odd_padding.load(), 0);
}

TEST(one_thread_drives_several_instances) {
  constexpr std::size_t kBatches = 60;  // of each
  const auto device = std::make_shared<SimulatedDevice>(SimulatedOptions{.copy_ns = kCopyNs});
  Doubling first(*device, kComputeNs);
  Doubling second(*device, kComputeNs);
  const auto one = made(device, first, 2);
  const auto other = made(device, second, 2);
  Driver drivers[]{Driver(*one), Driver(*other)};
  while (drivers[0].ended.size() + drivers[1].ended.size() < 2 * kBatches) {
    for (Driver& driver : drivers) {
      if (driver.batches.size() < kBatches) driver.launch();
      driver.take();
    }
  }
  for (const Driver& driver : drivers) {
    CHECK(std::ranges::all_of(driver.ended, [](const Status& how) { return how.is_ok(); }));
  }
  // What one copies, the other computes meanwhile.
  const auto ideal = static_cast<double>(2 * kBatches * kComputeNs + 2 * kCopyNs);
  CHECK(static_cast<double>(device->host_ns()) <= 1.1 * ideal);
}

TEST(no_more_is_in_flight_than_there_are_slots) {
  const auto device = std::make_shared<SimulatedDevice>();
  Doubling doubling(*device, kComputeNs);
  const auto pipeline = made(device, doubling, 2);
  Driver driver(*pipeline);
  CHECK(driver.launch());
  CHECK(driver.launch());
  CHECK(!driver.launch());
  CHECK_EQ(pipeline->in_flight(), 2U);
  driver.take_all();
  CHECK(driver.launch(1));
  driver.take_all();
  CHECK_EQ(driver.ended.size(), 3U);
}
