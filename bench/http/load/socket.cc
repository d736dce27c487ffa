#include "socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "load_error.h"

namespace slipstream::load {
namespace {

constexpr std::string_view kUnix = "unix:";

}  // namespace

Address::Address(const std::string& text) : text_(text) {
  if (text.starts_with(kUnix)) {
    sockaddr_un local{};
    const std::string path = text.substr(kUnix.size());
    if (path.empty() || path.size() >= sizeof(local.sun_path)) {
      throw LoadError("'" + path + "' is no path of a socket");
    }
    local.sun_family = AF_UNIX;
    std::memcpy(local.sun_path, path.c_str(), path.size() + 1);
    std::memcpy(&storage_, &local, sizeof(local));
    length_ = sizeof(local);
    return;
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) throw LoadError("'" + text + "' is not HOST:PORT");
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string host = text.substr(0, colon);
  if (getaddrinfo(host.c_str(), text.c_str() + colon + 1, &hints, &found) != 0) {
    throw LoadError("'" + text + "' is no address");
  }
  std::memcpy(&storage_, found->ai_addr, found->ai_addrlen);
  length_ = found->ai_addrlen;
  freeaddrinfo(found);
}

int Address::connect() const {
  Socket made(::socket(storage_.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto* const where = reinterpret_cast<const sockaddr*>(&storage_);
  if (made.get() < 0 || ::connect(made.get(), where, length_) != 0) {
    throw LoadError("cannot connect to " + text_ + ": " + std::strerror(errno));
  }
  const int on = 1;
  if (storage_.ss_family == AF_INET) {
    setsockopt(made.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  if (fcntl(made.get(), F_SETFL, O_NONBLOCK) != 0) {
    throw LoadError(std::string("cannot set a socket up: ") + std::strerror(errno));
  }
  return made.release();
}

void Socket::close() noexcept {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

void allow_descriptors(std::size_t wanted) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  if (limit.rlim_max < wanted || setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    throw LoadError("this process may not hold " + std::to_string(wanted) + " connections");
  }
}

}  // namespace slipstream::load
