#include "core/request_pool.h"

#include <algorithm>

namespace slipstream {

RequestPool::RequestPool(std::uint32_t capacity)
    : slots_(std::make_unique<Request[]>(capacity)), free_(capacity) {
  for (std::uint32_t i = 0; i < capacity; ++i) slots_[i].index = i;
}

Request* RequestPool::acquire() noexcept {
  std::uint32_t index = 0;
  if (!free_.try_pop(index)) return nullptr;
  // The free list hands out low indices first, so this climbs to the peak load and then only reads.
  std::uint32_t seen = high_water_.load(std::memory_order_acquire);
  while (seen <= index && !high_water_.compare_exchange_weak(seen, index + 1)) {
  }
  return &slots_[index];
}

Ticket RequestPool::open(Request& request) noexcept {
  return {.index = request.index, .generation = request.lifecycle.open()};
}

void RequestPool::release(Request& request) noexcept {
  if (!request.lifecycle.release()) return;
  request.inputs.clear();
  request.split.reset();
  request.sink.reset();
  request.next_row = 0;
  request.deadline_ns.store(kNoDeadline, std::memory_order_release);
  free_.push(request.index);
}

bool RequestPool::complete_early(Ticket ticket, Status status) noexcept {
  if (ticket.generation == 0 || ticket.index >= capacity()) return false;
  Request& request = slots_[ticket.index];
  if (!request.lifecycle.try_claim(ticket.generation)) return false;
  CompletionSink* const sink = request.sink.get();
  Response response{.status = std::move(status),
                    .outputs = {},
                    .total_ns = now_ns() - request.accepted_ns,
                    .execute_ns = 0,
                    .batch_rows = 0};
  if (sink->complete(request.tag, std::move(response))) sink->flush();
  release(request);
  return true;
}

Nanoseconds RequestPool::expire(Nanoseconds now) noexcept {
  Nanoseconds earliest = kNoDeadline;
  const std::uint32_t used = high_water_.load();
  for (std::uint32_t i = 0; i < used; ++i) {
    Request& request = slots_[i];
    // seq_cst: pairs with the store in ServedModel's admission (see deadline_timer.h).
    const Nanoseconds deadline_ns = request.deadline_ns.load();
    if (deadline_ns == kNoDeadline) continue;
    if (deadline_ns > now) {
      earliest = std::min(earliest, deadline_ns);
      continue;
    }
    const std::uint32_t generation = request.lifecycle.pending_generation();
    // The slot may have been reused since its deadline was read, so the deadline of that generation
    // must be due too. Later reuse does not matter: the claim below is of this generation only.
    if (generation == 0 || request.deadline_ns.load() != deadline_ns) continue;
    complete_early({i, generation},
                   Status(StatusCode::kDeadlineExceeded,
                          "the request's deadline passed before it was answered; raise its timeout "
                          "or send it with a higher priority"));
  }
  return earliest;
}

}  // namespace slipstream
