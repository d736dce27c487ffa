// Runner: one epoll loop over all connections of all classes, for one run.
//
// Threads: one. Ownership: holds everything of the run. Failure: LoadError, where the server does
// not accept connections (any more).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "connection.h"
#include "options.h"
#include "socket.h"
#include "traffic.h"

namespace slipstream::load {

struct Usage {
  double wall_s = 0;
  double cpu_s = 0;  // of this program: near wall_s, it was the generator that was measured
};

class Runner {
 public:
  explicit Runner(const Options& options);

  void run();

  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] const std::vector<std::unique_ptr<Traffic>>& traffics() const noexcept {
    return traffics_;
  }
  [[nodiscard]] std::uint64_t idle_closed() const noexcept { return idle_closed_; }
  [[nodiscard]] const Usage& usage() const noexcept { return usage_; }

 private:
  void open_idle();
  void open_busy();
  void watch(Connection& connection);
  void start(Connection& connection, std::uint64_t due_ns, std::uint64_t now_ns);
  void go_on(Connection& connection, std::uint64_t now_ns);
  void handle(Connection& connection);
  void reopen(Connection& connection);
  // Sends what is due; returns when something is due next.
  [[nodiscard]] std::optional<std::uint64_t> dispatch(std::uint64_t now_ns);
  [[nodiscard]] bool anything_under_way() const;
  void wait(std::uint64_t until_ns, std::uint64_t now_ns);

  Options options_;
  Address address_;
  Socket epoll_;
  std::vector<std::unique_ptr<Traffic>> traffics_;
  std::vector<std::unique_ptr<Connection>> idle_;
  std::vector<std::unique_ptr<Connection>> busy_;
  Window window_;
  std::uint64_t under_way_ = 0;  // requests sent and not answered
  std::uint64_t idle_closed_ = 0;
  Usage usage_;
};

}  // namespace slipstream::load
