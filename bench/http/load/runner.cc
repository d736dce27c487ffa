#include "runner.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "load_error.h"

namespace slipstream::load {
namespace {

constexpr std::size_t kSpareDescriptors = 32;
constexpr int kPrimeTimeoutMs = 10'000;
constexpr std::uint64_t kSecond = 1'000'000'000;

std::uint64_t clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * kSecond + static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint64_t now() {
  return clock_ns(CLOCK_MONOTONIC);
}

timespec timespec_of(std::uint64_t ns) {
  timespec made{};
  made.tv_sec = static_cast<time_t>(ns / kSecond);
  made.tv_nsec = static_cast<long>(ns % kSecond);
  return made;
}

std::uint64_t nanoseconds(double seconds) {
  return static_cast<std::uint64_t>(seconds * 1e9);
}

}  // namespace

Runner::Runner(const Options& options)
    : options_(options), address_(options.connect), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_.get() < 0) throw LoadError("no epoll here");
  // Timers of a process are late by 50 µs unless it asks for better.
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
  std::size_t descriptors = options_.idle + kSpareDescriptors;
  for (const ClassOptions& made : options_.classes) {
    traffics_.push_back(std::make_unique<Traffic>(made));
    descriptors += made.connections;
  }
  allow_descriptors(descriptors);
}

void Runner::run() {
  open_idle();
  open_busy();
  const std::uint64_t begin_ns = now();
  const std::uint64_t cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  window_.begin_ns = begin_ns + nanoseconds(options_.warmup_s);
  window_.end_ns = window_.begin_ns + nanoseconds(options_.seconds);
  const std::uint64_t give_up_ns = window_.end_ns + nanoseconds(options_.drain_s);
  for (const auto& traffic : traffics_) traffic->start(begin_ns, window_);
  for (const auto& connection : busy_) go_on(*connection, now());
  while (true) {
    const std::uint64_t now_ns = now();
    const auto due_ns = dispatch(now_ns);
    if (now_ns >= window_.end_ns && !anything_under_way()) break;
    if (now_ns >= give_up_ns) break;
    const std::uint64_t next_ns = now_ns < window_.end_ns ? window_.end_ns : give_up_ns;
    wait(std::min(next_ns, due_ns.value_or(next_ns)), now_ns);
  }
  usage_.wall_s = static_cast<double>(now() - begin_ns) / 1e9;
  usage_.cpu_s = static_cast<double>(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns) / 1e9;
  for (std::size_t i = 0; i < traffics_.size(); ++i) {
    const auto left = std::ranges::count_if(
        busy_, [i](const auto& one) { return one->traffic() == i && one->busy(); });
    traffics_[i]->finish(static_cast<std::uint64_t>(left));
  }
}

// Each sends one request, so that the server knows it as a connection that is kept.
void Runner::open_idle() {
  const std::string_view text = traffics_.front()->text(0);
  for (std::size_t i = 0; i < options_.idle; ++i) {
    Connection& made =
        *idle_.emplace_back(std::make_unique<Connection>(Connection::kNoTraffic, address_));
    Event event = made.send(0, text, 0);
    while (event == Event::kNothing) {
      pollfd waiting{made.descriptor(), POLLIN, 0};
      if (poll(&waiting, 1, kPrimeTimeoutMs) <= 0) break;
      event = made.advance();
    }
    if (event != Event::kAnswered || made.response().closes()) {
      throw LoadError("the server does not keep " + std::to_string(options_.idle) +
                      " connections: it ended number " + std::to_string(i + 1));
    }
    watch(made);
  }
}

void Runner::open_busy() {
  for (std::size_t i = 0; i < traffics_.size(); ++i) {
    for (std::size_t n = 0; n < traffics_[i]->options().connections; ++n) {
      busy_.push_back(std::make_unique<Connection>(i, address_));
      watch(*busy_.back());
    }
  }
}

void Runner::watch(Connection& connection) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = &connection;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connection.descriptor(), &event) != 0) {
    throw LoadError(std::string("epoll: ") + std::strerror(errno));
  }
}

void Runner::start(Connection& connection, std::uint64_t due_ns, std::uint64_t now_ns) {
  ++under_way_;
  if (traffics_[connection.traffic()]->send(connection, due_ns, now_ns) == Event::kBroken) {
    reopen(connection);
    traffics_[connection.traffic()]->set_free(connection);
  }
}

// Gives a connection that is free its next request, if it has one.
void Runner::go_on(Connection& connection, std::uint64_t now_ns) {
  Traffic& traffic = *traffics_[connection.traffic()];
  if (!traffic.open_loop()) {
    if (now_ns < window_.end_ns) start(connection, now_ns, now_ns);
  } else if (const auto due_ns = traffic.take_due()) {
    start(connection, *due_ns, now_ns);
  } else {
    traffic.set_free(connection);
  }
}

void Runner::handle(Connection& connection) {
  const Event event = connection.advance();
  if (event == Event::kNothing) return;
  if (event == Event::kBroken) {
    if (connection.traffic() == Connection::kNoTraffic) {
      ++idle_closed_;
      return;
    }
    const bool was_free = !connection.busy();
    reopen(connection);
    if (!was_free) go_on(connection, now());
    return;
  }
  const std::uint64_t now_ns = now();
  --under_way_;
  traffics_[connection.traffic()]->answered(connection, now_ns);
  if (connection.response().closes()) reopen(connection);
  go_on(connection, now_ns);
}

void Runner::reopen(Connection& connection) {
  if (connection.busy()) --under_way_;
  traffics_[connection.traffic()]->broke(connection.busy());
  connection.reopen();
  watch(connection);
}

std::optional<std::uint64_t> Runner::dispatch(std::uint64_t now_ns) {
  std::optional<std::uint64_t> soonest;
  for (const auto& traffic : traffics_) {
    const auto next = traffic->arrive(now_ns);
    if (next) soonest = std::min(soonest.value_or(*next), *next);
    // Counted before: a connection that breaks at once is free again.
    for (std::size_t left = traffic->sendable(); left > 0; --left) {
      go_on(*traffic->take_free(), now());
    }
  }
  return soonest;
}

bool Runner::anything_under_way() const {
  return under_way_ != 0 ||
         std::ranges::any_of(traffics_, [](const auto& one) { return one->backlog() != 0; });
}

void Runner::wait(std::uint64_t until_ns, std::uint64_t now_ns) {
  if (options_.coalesce_us > 0) {
    const std::uint64_t pause_ns = nanoseconds(options_.coalesce_us / 1e6);
    const timespec pause = timespec_of(pause_ns);
    nanosleep(&pause, nullptr);
    now_ns += pause_ns;
  }
  std::array<epoll_event, 256> events;
  timespec timeout = timespec_of(until_ns > now_ns ? until_ns - now_ns : 0);
  int ready = 0;
  do {
    ready = epoll_pwait2(epoll_.get(), events.data(), static_cast<int>(events.size()), &timeout,
                         nullptr);
    if (ready < 0 && errno != EINTR) throw LoadError(std::string("epoll: ") + std::strerror(errno));
    for (int i = 0; i < ready; ++i) {
      handle(*static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr));
    }
    timeout = {};
  } while (ready == static_cast<int>(events.size()) && options_.coalesce_us > 0);
}

}  // namespace slipstream::load
