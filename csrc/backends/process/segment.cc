#include "backends/process/segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "backends/process/system_error.h"

namespace slipstream::process {
namespace {

constexpr std::size_t kInitialBytes = 64 * 1024;

}  // namespace

Segment::Segment(UniqueFd fd, std::size_t limit_bytes) noexcept
    : fd_(std::move(fd)), limit_(limit_bytes) {}

Segment::Segment(Segment&& other) noexcept
    : fd_(std::move(other.fd_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      limit_(other.limit_) {}

Segment::~Segment() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

Result<Segment> Segment::create(const char* name, std::size_t limit_bytes) {
  UniqueFd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.is_open()) {
    return resource_exhausted(system_error_text("create shared memory for a worker", errno));
  }
  Segment segment(std::move(fd), limit_bytes);
  if (Status status = segment.reserve(std::min(kInitialBytes, limit_bytes)); !status.is_ok()) {
    return status;
  }
  if (::fcntl(segment.fd(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
    return internal_error(system_error_text("seal shared memory", errno));
  }
  return segment;
}

Status Segment::reserve(std::uint64_t bytes) {
  if (bytes <= size_) return Status::ok();
  if (bytes > limit_) {
    return invalid_argument("a message of " + std::to_string(bytes) +
                            " bytes exceeds the limit of " + std::to_string(limit_) +
                            " for worker processes; send fewer rows at once, or raise the backend "
                            "option max_message_mb");
  }
  const std::size_t grown = std::min(limit_, std::max<std::size_t>(bytes, 2 * size_));
  int error = 0;
  do {
    error = ::posix_fallocate(fd_.get(), 0, static_cast<off_t>(grown));
  } while (error == EINTR);
  if (error != 0) {
    return resource_exhausted(system_error_text(
        "grow shared memory for a worker to " + std::to_string(grown) + " bytes", error));
  }
  return remap(grown);
}

Status Segment::follow(std::uint64_t bytes) {
  if (bytes <= size_) return Status::ok();
  struct stat info{};
  if (bytes > limit_ || ::fstat(fd_.get(), &info) != 0 ||
      static_cast<std::uint64_t>(info.st_size) < bytes) {
    return internal_error("it announced a segment of " + std::to_string(bytes) +
                          " bytes, which it does not have");
  }
  return remap(bytes);
}

Status Segment::remap(std::size_t bytes) {
  void* mapped = data_ == nullptr
                     ? ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0)
                     : ::mremap(data_, size_, bytes, MREMAP_MAYMOVE);
  if (mapped == MAP_FAILED) {
    return resource_exhausted(system_error_text("map shared memory", errno));
  }
  data_ = static_cast<std::byte*>(mapped);
  size_ = bytes;
  return Status::ok();
}

}  // namespace slipstream::process
