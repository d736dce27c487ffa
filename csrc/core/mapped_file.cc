#include "core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace slipstream {
namespace {

std::string reason() {
  return std::generic_category().message(errno);
}

Result<std::span<const std::byte>> map(int fd, const std::string& path) {
  struct stat info{};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return not_found("'" + path + "' is not a regular file");
  }
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size == 0) return std::span<const std::byte>();
  void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    return internal_error("'" + path + "' cannot be mapped: " + reason());
  }
  return std::span(static_cast<const std::byte*>(memory), size);
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  // Non-blocking: a pipe of that name must not hang the load before it is refused.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    return not_found("no model file can be read at '" + path + "': " + reason());
  }
  Result<std::span<const std::byte>> bytes = map(fd, path);
  ::close(fd);
  if (!bytes.is_ok()) return bytes.status();
  return MappedFile(bytes.value());
}

MappedFile::~MappedFile() {
  if (bytes_.empty()) return;
  void* const memory = const_cast<std::byte*>(bytes_.data());
  ::munmap(memory, bytes_.size());
}

}  // namespace slipstream
