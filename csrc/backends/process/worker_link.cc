#include "backends/process/worker_link.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "backends/process/codec.h"
#include "backends/process/system_error.h"

namespace slipstream::process {
namespace {

// An idle worker leaves its loop at once; what takes time is unloading large libraries.
constexpr std::chrono::milliseconds kShutdownGrace{2'000};
// Between the end of the socket and that of the process lies only the kernel's clean-up.
constexpr std::chrono::milliseconds kEndingGrace{1'000};

// The codes that a worker may report; the others belong to the server.
StatusCode worker_status(std::uint32_t code) {
  for (const StatusCode known :
       {StatusCode::kInvalidArgument, StatusCode::kNotFound, StatusCode::kFailedPrecondition}) {
    if (code == static_cast<std::uint32_t>(known)) return known;
  }
  return StatusCode::kInternal;
}

}  // namespace

WorkerLink::WorkerLink(const Launch& launch, ChildProcess process, UniqueFd socket,
                       UniqueFd lifeline, Segment request, Segment response) noexcept
    : launch_(launch),
      process_(std::move(process)),
      socket_(std::move(socket)),
      lifeline_(std::move(lifeline)),
      request_(std::move(request)),
      response_(std::move(response)) {}

WorkerLink::~WorkerLink() {
  socket_.reset();
  if (state_ != State::kIdle || !process_.wait_for_end(kShutdownGrace)) process_.kill();
}

Result<std::unique_ptr<WorkerLink>> WorkerLink::start(const Launch& launch) {
  Result<Segment> request = Segment::create("slipstream-request", launch.max_message_bytes);
  if (!request.is_ok()) return request.status();
  Result<Segment> response = Segment::create("slipstream-response", launch.max_message_bytes);
  if (!response.is_ok()) return response.status();

  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    return resource_exhausted(system_error_text("create a socket pair for a worker", errno));
  }
  UniqueFd ours(pair[0]);
  const UniqueFd theirs(pair[1]);
  if (::pipe2(pair, O_CLOEXEC) != 0) {
    return resource_exhausted(system_error_text("create a pipe for a worker", errno));
  }
  const UniqueFd lifeline_end(pair[0]);
  UniqueFd lifeline(pair[1]);

  const ChildProcess::PassedFd passed[] = {{theirs.get(), kSocketFd},
                                           {request.value().fd(), kRequestFd},
                                           {response.value().fd(), kResponseFd},
                                           {lifeline_end.get(), kLifelineFd}};
  Result<ChildProcess> process =
      ChildProcess::start(launch.python, launch.arguments, launch.environment, passed);
  if (!process.is_ok()) return process.status();
  std::unique_ptr<WorkerLink> link(
      new WorkerLink(launch, std::move(process).value(), std::move(ours), std::move(lifeline),
                     std::move(request).value(), std::move(response).value()));
  if (Status status = link->handshake(); !status.is_ok()) return status;
  return link;
}

Status WorkerLink::handshake() {
  Record record;
  Status received = receive(record, launch_.start_timeout, "while it loaded the model");
  if (!received.is_ok()) return received;
  if (record.kind == kKindFailed) return reported_failure(record);
  if (record.kind != kKindReady) return misbehaved("it did not begin with a ready message");
  const Result<std::span<const std::byte>> bytes = body(record);
  if (!bytes.is_ok()) return misbehaved(bytes.status().message());
  Result<ModelSpec> spec = read_spec(bytes.value());
  if (!spec.is_ok()) return misbehaved(spec.status().message());
  spec_ = std::move(spec).value();
  state_ = State::kIdle;
  return Status::ok();
}

Status WorkerLink::call(const Execution& execution, std::vector<Tensor>& outputs) {
  static constexpr char kDoing[] = "while it answered a request";
  const Result<std::uint64_t> written = write_tensors(request_, execution.inputs);
  if (!written.is_ok()) return written.status();
  Record record;
  record.kind = kKindExecute;
  record.sequence = ++sequence_;
  record.body_bytes = written.value();
  record.segment_bytes = request_.size();
  record.outputs_wanted = execution.outputs_wanted;
  record.tensor_count = static_cast<std::uint32_t>(execution.inputs.size());

  state_ = State::kBusy;
  if (Status sent = send(record, kDoing); !sent.is_ok()) return sent;
  Status received = receive(record, launch_.execute_timeout, kDoing);
  if (!received.is_ok()) return received;
  return read_answer(record, execution, outputs);
}

Status WorkerLink::read_answer(const Record& record, const Execution& execution,
                               std::vector<Tensor>& outputs) {
  if (record.sequence != sequence_) return misbehaved("it answered a request it was not asked");
  // The worker waits for its next request. If memory runs out below, that is not its fault.
  state_ = State::kIdle;
  if (record.kind == kKindError) return reported_failure(record);
  if (record.kind != kKindResult || record.tensor_count != spec_.outputs.size()) {
    return misbehaved("it sent something else than its outputs");
  }
  const Result<std::span<const std::byte>> bytes = body(record);
  if (!bytes.is_ok()) return misbehaved(bytes.status().message());
  Status read = read_tensors(bytes.value(), spec_.outputs, execution, outputs);
  return read.is_ok() ? read : misbehaved(read.message());
}

Result<std::span<const std::byte>> WorkerLink::body(const Record& record) {
  if (Status status = response_.follow(record.segment_bytes); !status.is_ok()) return status;
  if (record.body_bytes > response_.size()) {
    return internal_error("its message is larger than its segment");
  }
  return std::span<const std::byte>(response_.data(), record.body_bytes);
}

Status WorkerLink::reported_failure(const Record& record) {
  const Result<std::span<const std::byte>> bytes = body(record);
  if (!bytes.is_ok()) return misbehaved(bytes.status().message());
  std::string text(std::min(bytes.value().size(), kMaxTextBytes), '\0');
  std::memcpy(text.data(), bytes.value().data(), text.size());
  return {worker_status(record.status), std::move(text)};
}

bool WorkerLink::has_died() noexcept {
  if (!process_.has_ended()) return false;
  state_ = State::kBroken;
  return true;
}

Status WorkerLink::send(const Record& record, const char* doing) {
  ssize_t sent = 0;
  do {
    sent = ::send(socket_.get(), &record, sizeof(record), MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  if (sent == static_cast<ssize_t>(sizeof(record))) return Status::ok();
  // The one packet under way always fits; the only honest reason for a failure is a lost peer.
  return died(doing);
}

Status WorkerLink::receive(Record& record, std::chrono::milliseconds timeout, const char* doing) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    // The pidfd too: a process that the model started may hold the worker's end of the socket.
    pollfd entries[] = {{.fd = socket_.get(), .events = POLLIN, .revents = 0},
                        {.fd = process_.pidfd(), .events = POLLIN, .revents = 0}};
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    const int ready = ::poll(entries, 2, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (ready < 0 && errno != EINTR) return misbehaved(system_error_text("wait for it", errno));
    if (ready == 0 && left.count() <= 0) return hung(doing, timeout);
    if (ready <= 0) continue;
    // An answer that was sent counts, also when its sender has died since.
    const ssize_t got = ::recv(socket_.get(), &record, sizeof(record), MSG_DONTWAIT | MSG_TRUNC);
    if (got == static_cast<ssize_t>(sizeof(record)) && record.magic == kMagic) return Status::ok();
    if (got > 0) return misbehaved("it sent something that is not a control record");
    const bool nothing_yet = got < 0 && (errno == EAGAIN || errno == EINTR);
    if (!nothing_yet || entries[1].revents != 0) return died(doing);
  }
}

Status WorkerLink::died(const char* doing) {
  state_ = State::kBroken;
  const bool by_itself = process_.wait_for_end(kEndingGrace);
  process_.kill();
  return unavailable("the worker process of model " + launch_.model + " " +
                     (by_itself ? process_.describe_ending() : "closed its connection") + " " +
                     doing);
}

Status WorkerLink::hung(const char* doing, std::chrono::milliseconds timeout) {
  state_ = State::kBroken;
  process_.kill();
  return unavailable("the worker process of model " + launch_.model + " did not answer within " +
                     std::to_string(timeout.count()) + " ms " + doing + " and was killed");
}

Status WorkerLink::misbehaved(const std::string& how) {
  state_ = State::kBroken;
  process_.kill();
  return internal_error("the worker process of model " + launch_.model +
                        " broke the protocol and was killed: " + how);
}

}  // namespace slipstream::process
