#include "matrix.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace slipstream::bench {

Matrix::Matrix(const std::string& float64_file, const std::string& float32_file, std::size_t rows,
               std::size_t columns)
    : rows_(rows),
      columns_(columns),
      float64_(map(float64_file, rows * columns * sizeof(double))),
      float32_(map(float32_file, rows * columns * sizeof(float))) {}

Matrix::~Matrix() {
  munmap(float64_.data, float64_.bytes);
  munmap(float32_.data, float32_.bytes);
}

const void* Matrix::from(std::size_t first, Element element) const noexcept {
  const std::size_t index = first * columns_;
  if (element == Element::kFloat64) return static_cast<const double*>(float64_.data) + index;
  return static_cast<const float*>(float32_.data) + index;
}

Matrix::Mapping Matrix::map(const std::string& file, std::size_t bytes) {
  const int descriptor = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw BenchError("cannot open " + file);
  struct stat info{};
  const bool fits =
      fstat(descriptor, &info) == 0 && static_cast<std::size_t>(info.st_size) == bytes;
  // Populated now: page faults are nobody's prediction time.
  void* const data =
      fits ? mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE, descriptor, 0)
           : MAP_FAILED;
  close(descriptor);
  if (!fits) throw BenchError(file + " is not of " + std::to_string(bytes) + " bytes");
  if (data == MAP_FAILED) throw BenchError("cannot map " + file);
  return {data, bytes};
}

}  // namespace slipstream::bench
