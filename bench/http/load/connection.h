// Connection: one keep-alive connection, with at most one request under way.
//
// Threads: one. Ownership: the socket; the request's bytes are the caller's, and live until the
// answer is there. Failure: a connection that the server closed or that got what it cannot read
// says Event::kBroken, once; reopen() makes it usable again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "response.h"
#include "socket.h"

namespace slipstream::load {

enum class Event { kNothing, kAnswered, kBroken };

class Connection {
 public:
  // Of a connection that is only kept open.
  static constexpr std::size_t kNoTraffic = SIZE_MAX;

  Connection(std::size_t traffic, const Address& address);

  // Starts a request; kBroken when the server is gone.
  [[nodiscard]] Event send(std::size_t body, std::string_view text, std::uint64_t due_ns);
  // Goes on after the descriptor became readable or writable.
  [[nodiscard]] Event advance();
  void reopen();

  [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }
  [[nodiscard]] std::size_t traffic() const noexcept { return traffic_; }
  [[nodiscard]] bool busy() const noexcept { return busy_; }
  [[nodiscard]] std::size_t body() const noexcept { return body_; }
  [[nodiscard]] std::uint64_t due_ns() const noexcept { return due_ns_; }
  [[nodiscard]] const ResponseReader& response() const noexcept { return reader_; }

 private:
  [[nodiscard]] Event write();
  [[nodiscard]] Event read();
  [[nodiscard]] Event broken() noexcept;

  const Address& address_;
  std::size_t traffic_;  // whose requests these are
  Socket socket_;
  std::string_view unsent_;
  bool busy_ = false;
  std::size_t body_ = 0;
  std::uint64_t due_ns_ = 0;
  ResponseReader reader_;
};

}  // namespace slipstream::load
