#include "device/graphed_computation.h"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

namespace slipstream::device {
namespace {

constexpr int kAttempts = 3;  // that fail in a row before nothing is recorded any more

bool has_inputs(const Slot& slot, const std::vector<Shape>& shapes) noexcept {
  return std::ranges::equal(slot.inputs(), shapes, {}, &Slot::Input::shape);
}

}  // namespace

std::int64_t GraphedComputation::padded_rows(std::int64_t given) const noexcept {
  constexpr std::int64_t kExact = 8;  // up to so many, every number is one of the four
  const std::int64_t rows = inner_->padded_rows(given);
  if (!gave_up_.is_ok() || rows <= kExact || rows > options_.max_rows) return rows;
  const auto step =
      static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(rows - 1))) / 4;
  return std::min((rows + step - 1) / step * step, options_.max_rows);
}

Status GraphedComputation::enqueue(Slot& slot) noexcept {
  is_new_ = false;
  try {
    if (Recorded* const recorded = find(slot)) return launch(*recorded, slot);
    is_new_ = gave_up_.is_ok() && slot.padded_rows() <= options_.max_rows;
    return inner_->enqueue(slot);
  } catch (const std::bad_alloc&) {
    return resource_exhausted("out of memory");
  }
}

void GraphedComputation::after_launch(Slot& slot) noexcept {
  if (!std::exchange(is_new_, false)) return;
  try {
    record(slot);
  } catch (const std::bad_alloc&) {
    return;  // it is recorded another time
  }
}

void GraphedComputation::tear_down() noexcept {
  recorded_.clear();
  failures_ = 0;
  inner_->tear_down();
}

GraphedComputation::Recorded* GraphedComputation::find(const Slot& slot) noexcept {
  // Those that refer to memory of before are in nobody's use: the slot was in none.
  std::erase_if(recorded_, [&slot](const Recorded& each) {
    return each.slot == slot.number() && each.moves != slot.moves();
  });
  const auto found = std::ranges::find_if(recorded_, [&slot](const Recorded& each) {
    return each.slot == slot.number() && each.outputs_wanted == slot.outputs_wanted() &&
           has_inputs(slot, each.inputs);
  });
  return found == recorded_.end() ? nullptr : &*found;
}

Status GraphedComputation::launch(Recorded& recorded, Slot& slot) {
  for (std::size_t i = 0; i < slot.outputs(); ++i) {
    if (!slot.wants(i)) continue;
    const Result<void*> placed = slot.place_output(i, recorded.outputs[i]);
    if (!placed.is_ok()) return placed.status();
  }
  recorded.used = ++uses_;
  return stream().launch(*recorded.graph);
}

// Puts the same computation on the stream again, to be recorded and not done.
void GraphedComputation::record(Slot& slot) {
  Recorded made{.slot = slot.number(),
                .moves = slot.moves(),
                .outputs_wanted = slot.outputs_wanted(),
                .inputs = {},
                .outputs = std::vector<Shape>(slot.outputs()),
                .graph = nullptr,
                .used = ++uses_};
  for (const Slot::Input& input : slot.inputs()) made.inputs.push_back(input.shape);
  for (std::size_t i = 0; i < slot.outputs(); ++i) {
    if (!slot.wants(i)) continue;
    if (!slot.is_placed(i)) {
      gave_up_ = failed_precondition("its outputs are not in memory of the slot");
      return;
    }
    made.outputs[i] = slot.output_shape(i);
  }
  Status status = stream().begin_capture();
  if (status.is_ok()) {
    status = inner_->enqueue(slot);
    Result<std::unique_ptr<Graph>> graph = stream().end_capture();
    if (status.is_ok()) status = graph.status();
    if (status.is_ok()) made.graph = std::move(graph).value();
  }
  if (!status.is_ok()) {
    if (++failures_ >= kAttempts) gave_up_ = std::move(status);
    return;
  }
  failures_ = 0;
  if (made.moves != slot.moves()) return;  // what was recorded allocated: it is void already
  make_room(slot.number());
  recorded_.push_back(std::move(made));
}

// Of the same slot's graphs, since none of those is on the device: what it computed before has
// ended.
void GraphedComputation::make_room(std::size_t slot) {
  const auto is_its = [slot](const Recorded& each) { return each.slot == slot; };
  while (static_cast<std::size_t>(std::ranges::count_if(recorded_, is_its)) >=
         options_.max_graphs) {
    auto oldest = std::ranges::find_if(recorded_, is_its);
    for (auto each = oldest; each != recorded_.end(); ++each) {
      if (is_its(*each) && each->used < oldest->used) oldest = each;
    }
    recorded_.erase(oldest);
  }
}

}  // namespace slipstream::device
