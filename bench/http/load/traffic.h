// Traffic: one class of requests: what it sends, in what rhythm, and everything counted about it.
//
// Every request is counted once: sent = the sum of the statuses + broken + unfinished. Latency
// counts from when a request was due, not from when a connection was free to send it, and only
// requests that were due within the window are timed.
// Threads: one. Ownership: holds requests and answers. Failure: the constructor throws LoadError.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "answers.h"
#include "arrivals.h"
#include "connection.h"
#include "histogram.h"
#include "options.h"
#include "requests.h"

namespace slipstream::load {

struct Window {
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = 0;

  [[nodiscard]] bool contains(std::uint64_t at_ns) const noexcept {
    return at_ns >= begin_ns && at_ns < end_ns;
  }
};

struct Counts {
  std::uint64_t sent = 0;
  std::uint64_t broken = 0;      // the connection ended before the answer
  std::uint64_t unfinished = 0;  // due, but without an answer when the run ended
  std::uint64_t reconnects = 0;
  std::map<int, std::uint64_t> statuses;
  // Of the window:
  std::uint64_t due = 0;
  std::uint64_t ok = 0;       // due in the window and answered with 200
  std::uint64_t in_time = 0;  // of these, within the deadline
  std::uint64_t ended = 0;    // answered with 200 in the window, whenever they were due
};

class Traffic {
 public:
  explicit Traffic(const ClassOptions& options);

  [[nodiscard]] const ClassOptions& options() const noexcept { return options_; }
  [[nodiscard]] bool open_loop() const noexcept { return options_.rhythm != Rhythm::kClosed; }
  [[nodiscard]] const Counts& counts() const noexcept { return counts_; }
  [[nodiscard]] const Answers& answers() const noexcept { return answers_; }
  [[nodiscard]] const Histogram& latency() const noexcept { return latency_; }
  [[nodiscard]] const Histogram& refusals() const noexcept { return refusals_; }
  [[nodiscard]] const Histogram& lag() const noexcept { return lag_; }
  [[nodiscard]] std::string_view text(std::size_t body) const noexcept {
    return requests_.text(body);
  }

  void start(std::uint64_t now_ns, Window window);
  // Moves what is due by now into the backlog; returns when the next one is due.
  [[nodiscard]] std::optional<std::uint64_t> arrive(std::uint64_t now_ns);

  void set_free(Connection& connection) { free_.push_back(&connection); }
  [[nodiscard]] Connection* take_free();
  // How many free connections have something to send.
  [[nodiscard]] std::size_t sendable() const noexcept;
  // Sends the next request, due then.
  [[nodiscard]] Event send(Connection& connection, std::uint64_t due_ns, std::uint64_t now_ns);
  // When the oldest request of the backlog was due, which leaves it.
  [[nodiscard]] std::optional<std::uint64_t> take_due();

  [[nodiscard]] std::size_t backlog() const noexcept { return backlog_.size(); }

  void answered(const Connection& connection, std::uint64_t now_ns);
  void broke(bool busy);
  void finish(std::uint64_t busy_connections);

 private:
  ClassOptions options_;
  Requests requests_;
  Answers answers_;
  std::optional<Arrivals> arrivals_;
  std::deque<std::uint64_t> backlog_;
  std::vector<Connection*> free_;
  Window window_;
  Counts counts_;
  Histogram latency_;   // of answers with status 200
  Histogram refusals_;  // of all others
  Histogram lag_;       // from due to sent
};

}  // namespace slipstream::load
