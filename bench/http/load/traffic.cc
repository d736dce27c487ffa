#include "traffic.h"

#include <algorithm>

namespace slipstream::load {
namespace {

constexpr int kOk = 200;

}  // namespace

Traffic::Traffic(const ClassOptions& options)
    : options_(options),
      requests_(options.requests),
      answers_(requests_.size(), options.key, options.variants) {}

void Traffic::start(std::uint64_t now_ns, Window window) {
  window_ = window;
  if (open_loop()) arrivals_.emplace(options_, now_ns);
}

std::optional<std::uint64_t> Traffic::arrive(std::uint64_t now_ns) {
  if (!arrivals_) return std::nullopt;
  while (arrivals_->due_ns() <= now_ns && arrivals_->due_ns() < window_.end_ns) {
    backlog_.push_back(arrivals_->due_ns());
    arrivals_->next();
  }
  if (arrivals_->due_ns() >= window_.end_ns) return std::nullopt;
  return arrivals_->due_ns();
}

std::size_t Traffic::sendable() const noexcept {
  return open_loop() ? std::min(free_.size(), backlog_.size()) : free_.size();
}

Connection* Traffic::take_free() {
  Connection* const taken = free_.back();
  free_.pop_back();
  return taken;
}

std::optional<std::uint64_t> Traffic::take_due() {
  if (backlog_.empty()) return std::nullopt;
  const std::uint64_t due = backlog_.front();
  backlog_.pop_front();
  return due;
}

Event Traffic::send(Connection& connection, std::uint64_t due_ns, std::uint64_t now_ns) {
  ++counts_.sent;
  if (window_.contains(due_ns)) {
    ++counts_.due;
    lag_.add(now_ns > due_ns ? now_ns - due_ns : 0);
  }
  const std::size_t body = requests_.next();
  return connection.send(body, requests_.text(body), due_ns);
}

void Traffic::answered(const Connection& connection, std::uint64_t now_ns) {
  const int status = connection.response().status();
  const bool ok = status == kOk;
  const std::uint64_t took_ns = now_ns - connection.due_ns();
  ++counts_.statuses[status];
  if (ok) answers_.check(connection.body(), connection.response().body());
  if (ok && window_.contains(now_ns)) ++counts_.ended;
  if (!window_.contains(connection.due_ns())) return;
  if (!ok) {
    refusals_.add(took_ns);
    return;
  }
  ++counts_.ok;
  latency_.add(took_ns);
  const double deadline_ns = options_.deadline_ms * 1e6;
  if (deadline_ns == 0 || static_cast<double>(took_ns) <= deadline_ns) ++counts_.in_time;
}

void Traffic::broke(bool busy) {
  ++counts_.reconnects;
  if (busy) ++counts_.broken;
}

void Traffic::finish(std::uint64_t busy_connections) {
  // What never left the backlog was sent to nobody, but it was due, and it was not answered.
  counts_.sent += backlog_.size();
  for (const std::uint64_t due : backlog_) counts_.due += window_.contains(due) ? 1 : 0;
  counts_.unfinished += backlog_.size() + busy_connections;
  backlog_.clear();
}

}  // namespace slipstream::load
