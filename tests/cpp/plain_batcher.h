// The batcher's rules over plain containers (no slots, no references, no atomics), for the real one
// to be compared with. Single-threaded.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <tuple>
#include <utility>
#include <vector>

#include "core/batch/policy.h"

namespace slipstream::testing {

// What is asked of a request.
struct Wish {
  std::uint64_t tag = 0;
  std::int64_t rows = 1;
  int priority = kNormalPriority;
  std::int64_t width = 1;  // requests of different widths may not share an execution
  std::int64_t row_limit = 0;
  Nanoseconds accepted_ns = 1;
  Nanoseconds deadline_ns = kNoDeadline;  // PlainBatcher knows none
};

// Rows [begin, end) of request `tag`.
using Part = std::tuple<std::uint64_t, std::int64_t, std::int64_t>;
using Parts = std::vector<Part>;

class PlainBatcher {
 public:
  PlainBatcher(std::int64_t max_batch_rows, PolicyConfig policy)
      : max_batch_rows_(max_batch_rows), policy_(policy) {}

  void push(const Wish& wish) {
    Waiting waiting{wish, lane_of(wish.priority), 0, false};
    lanes_.at(waiting.lane).push_back(waiting);
  }
  void cancel(std::uint64_t tag) {
    const auto mark = [tag](Waiting& waiting) {
      if (waiting.wish.tag == tag) waiting.is_cancelled = true;
    };
    std::ranges::for_each(put_off_, mark);
    for (auto& lane : lanes_) std::ranges::for_each(lane, mark);
  }
  [[nodiscard]] std::vector<std::uint64_t> waiting() const {
    std::vector<std::uint64_t> tags;
    const auto note = [&tags](const Waiting& waiting) {
      if (!waiting.is_cancelled) tags.push_back(waiting.wish.tag);
    };
    std::ranges::for_each(put_off_, note);
    for (const auto& lane : lanes_) std::ranges::for_each(lane, note);
    return tags;
  }

  Parts form(Nanoseconds now) {
    std::erase_if(put_off_, [](const Waiting& waiting) { return waiting.is_cancelled; });
    Waiting head;
    if (!take_head(now, head)) return {};
    parts_.clear();
    rows_ = 0;
    limit_ = max_batch_rows_;
    width_ = head.wish.width;
    std::deque<Waiting> candidates;
    std::swap(candidates, put_off_);
    std::deque<Waiting> rests;
    take(head, std::min(left(head), limit_of(head)), rests);
    for (const Waiting& candidate : candidates) {
      if (!join(candidate, rests)) put_off_.push_back(candidate);
    }
    put_off_.insert(put_off_.end(), rests.begin(), rests.end());
    while (rows_ < limit_ && put_off_.size() < 64) {
      const std::size_t lane = choose_lane(heads(), now, policy_);
      if (lane == kNoLane) break;
      // The real one takes the lane's next live request, after dropping those before it.
      const auto live = std::ranges::find(lanes_[lane], false, &Waiting::is_cancelled);
      if (live != lanes_[lane].end() && !join(*live, put_off_)) put_off_.push_back(*live);
      lanes_[lane].erase(lanes_[lane].begin(), live == lanes_[lane].end() ? live : live + 1);
    }
    return parts_;
  }

 private:
  struct Waiting {
    Wish wish;
    std::size_t lane = 0;
    std::int64_t next_row = 0;
    bool is_cancelled = false;
  };

  [[nodiscard]] static std::int64_t left(const Waiting& waiting) {
    return waiting.wish.rows - waiting.next_row;
  }
  [[nodiscard]] std::int64_t limit_of(const Waiting& waiting) const {
    const std::int64_t own = waiting.wish.row_limit;
    return own > 0 ? std::min(own, max_batch_rows_) : max_batch_rows_;
  }
  [[nodiscard]] HeadTimes heads() const {
    HeadTimes times;
    for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
      times[lane] = lanes_[lane].empty() ? kNoDeadline : lanes_[lane].front().wish.accepted_ns;
    }
    return times;
  }

  // Of every lane what came first, put off or not (without deadlines that is what is due first);
  // among these the one of highest effective priority.
  bool take_head(Nanoseconds now, Waiting& head) {
    for (;;) {
      HeadTimes times = heads();
      std::array<const Waiting*, kLaneCount> firsts{};
      for (const Waiting& waiting : put_off_) {
        const Waiting*& first = firsts[waiting.lane];
        if (first == nullptr || waiting.wish.accepted_ns < first->wish.accepted_ns) {
          first = &waiting;
        }
      }
      for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
        if (firsts[lane] == nullptr) continue;
        if (times[lane] != kNoDeadline && times[lane] < firsts[lane]->wish.accepted_ns) {
          firsts[lane] = nullptr;
        } else {
          times[lane] = firsts[lane]->wish.accepted_ns;
        }
      }
      const std::size_t lane = choose_lane(times, now, policy_);
      if (lane == kNoLane) return false;
      if (firsts[lane] != nullptr) {
        head = *firsts[lane];
        std::erase_if(put_off_, [&](const Waiting& waiting) { return &waiting == firsts[lane]; });
        return true;
      }
      const auto live = std::ranges::find(lanes_[lane], false, &Waiting::is_cancelled);
      const bool found = live != lanes_[lane].end();
      if (found) head = *live;
      lanes_[lane].erase(lanes_[lane].begin(), found ? live + 1 : live);
      if (found) return true;
    }
  }

  void take(Waiting waiting, std::int64_t rows, std::deque<Waiting>& rests) {
    parts_.emplace_back(waiting.wish.tag, waiting.next_row, waiting.next_row + rows);
    waiting.next_row += rows;
    rows_ += rows;
    limit_ = std::min(limit_, limit_of(waiting));
    if (left(waiting) > 0) rests.push_back(waiting);
  }

  bool join(const Waiting& candidate, std::deque<Waiting>& rests) {
    const std::int64_t room = std::min(limit_, limit_of(candidate)) - rows_;
    if (candidate.wish.width != width_ || room <= 0) return false;
    const bool fits = left(candidate) <= room;
    if (!fits && left(candidate) <= limit_of(candidate)) return false;
    take(candidate, fits ? left(candidate) : room, rests);
    return true;
  }

  const std::int64_t max_batch_rows_;
  const PolicyConfig policy_;
  std::array<std::deque<Waiting>, kLaneCount> lanes_;
  std::deque<Waiting> put_off_;
  Parts parts_;
  std::int64_t rows_ = 0;
  std::int64_t limit_ = 0;
  std::int64_t width_ = 0;
};

}  // namespace slipstream::testing
