// MappedFile: a file's bytes, read-only, as the page cache holds them.
//
// Processes and models that map the same file share its memory. What we assume: artifacts are
// written once under another name and renamed into place, so that the file behind a mapping never
// changes; replacing one leaves the old bytes alive for whoever maps them. A file that is cut short
// or written over in place while it is mapped would raise SIGBUS or change numbers that have been
// validated.
//
// Threads: any, after open. Ownership: movable; unmaps when destroyed. Failure: kNotFound when
// there is no readable regular file, kInternal when it cannot be mapped; both name the path.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "core/status.h"

namespace slipstream {

class MappedFile {
 public:
  [[nodiscard]] static Result<MappedFile> open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

 private:
  explicit MappedFile(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}

  std::span<const std::byte> bytes_;
};

}  // namespace slipstream
