#include "connection.h"

#include <array>
#include <cerrno>

namespace slipstream::load {
namespace {

constexpr std::size_t kReadBytes = 64 * 1024;

bool would_block() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

}  // namespace

Connection::Connection(std::size_t traffic, const Address& address)
    : address_(address), traffic_(traffic), socket_(address.connect()) {}

Event Connection::send(std::size_t body, std::string_view text, std::uint64_t due_ns) {
  busy_ = true;
  body_ = body;
  due_ns_ = due_ns;
  unsent_ = text;
  reader_.reset();
  return write();
}

Event Connection::advance() {
  if (!unsent_.empty() && write() == Event::kBroken) return Event::kBroken;
  return read();
}

void Connection::reopen() {
  socket_.reset(address_.connect());
  busy_ = false;
  unsent_ = {};
  reader_.reset();
}

Event Connection::write() {
  while (!unsent_.empty()) {
    const ssize_t sent = ::send(socket_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (sent < 0) return would_block() ? Event::kNothing : broken();
    unsent_.remove_prefix(static_cast<std::size_t>(sent));
  }
  return Event::kNothing;
}

Event Connection::read() {
  static std::array<char, kReadBytes> space;
  while (true) {
    const ssize_t got = ::recv(socket_.get(), space.data(), space.size(), 0);
    if (got < 0 && would_block()) return Event::kNothing;
    if (got <= 0 || !busy_) return broken();  // closed, or bytes that nobody asked for
    const auto bytes = static_cast<std::size_t>(got);
    switch (reader_.read({space.data(), bytes})) {
      case Progress::kBroken:
        return broken();
      case Progress::kComplete:
        busy_ = false;
        return Event::kAnswered;
      case Progress::kMore:
        if (bytes < space.size()) return Event::kNothing;
    }
  }
}

Event Connection::broken() noexcept {
  socket_.close();
  return Event::kBroken;
}

}  // namespace slipstream::load
