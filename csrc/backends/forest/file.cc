#include "backends/forest/file.h"

#include <bit>
#include <string>
#include <string_view>

#include "backends/forest/byte_reader.h"
#include "backends/forest/crc32.h"

namespace slipstream::forest {
namespace {

static_assert(std::endian::native == std::endian::little, "arrays are read in place");

constexpr std::string_view kMagic = "SLIPFRST";
constexpr std::size_t kCheckedFrom = 16;
constexpr std::size_t kEntryBytes = 24;

struct Header {
  std::uint64_t program_offset = 0;
  std::uint64_t program_bytes = 0;
  std::uint64_t table_offset = 0;
  std::uint32_t arrays = 0;
};

Status damaged(const std::string& what) {
  return invalid_argument("it is damaged or cut off: " + what + "; convert the model again");
}

// Whether [offset, offset + bytes) lies behind the header and within the file.
bool lies_within(std::uint64_t offset, std::uint64_t bytes, std::uint64_t size) {
  return offset >= kHeaderBytes && offset <= size && bytes <= size - offset;
}

Status check_identity(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  if (reader.text(kMagic.size()) != kMagic) {
    return invalid_argument("it is no forest file: it does not begin with SLIPFRST");
  }
  const std::uint32_t version = reader.u32();
  const std::uint32_t expected_crc = reader.u32();
  const std::uint64_t size = reader.u64();
  if (reader.ok() && version != kFormatVersion) {
    return invalid_argument("it has format version " + std::to_string(version) +
                            ", this slipstream reads version " + std::to_string(kFormatVersion) +
                            "; convert the model again");
  }
  if (bytes.size() < kHeaderBytes) return damaged("the header is not all there");
  if (size != bytes.size() || size > kMaxFileBytes) {
    return damaged("the header says " + std::to_string(size) + " bytes, there are " +
                   std::to_string(bytes.size()));
  }
  if (crc32(bytes.subspan(kCheckedFrom)) != expected_crc) {
    return damaged("its CRC-32 is not what the header says");
  }
  return Status::ok();
}

Status read_header(std::span<const std::byte> bytes, Header& header, ForestFile& file) {
  ByteReader reader(bytes.subspan(kCheckedFrom + sizeof(std::uint64_t)));
  header.program_offset = reader.u64();
  header.program_bytes = reader.u64();
  header.table_offset = reader.u64();
  header.arrays = reader.u32();
  file.steps = reader.u32();
  file.inputs = reader.u32();
  file.outputs = reader.u32();
  if (header.program_offset % 8 != 0 ||
      !lies_within(header.program_offset, header.program_bytes, bytes.size())) {
    return damaged("the program lies outside the file or is not aligned to 8 bytes");
  }
  if (header.table_offset % 8 != 0 ||
      !lies_within(header.table_offset, std::uint64_t{header.arrays} * kEntryBytes, bytes.size())) {
    return damaged("the array table lies outside the file or is not aligned to 8 bytes");
  }
  if (file.steps > kMaxSteps) return damaged("it has more than 65536 steps");
  if (file.inputs == 0 || file.inputs > kMaxInputs) {
    return damaged("it has " + std::to_string(file.inputs) + " inputs, not 1 to 4096");
  }
  if (file.outputs == 0 || file.outputs > kMaxEnds) {
    return damaged("it has " + std::to_string(file.outputs) + " outputs, not 1 to 64");
  }
  return Status::ok();
}

Result<FileArray> read_entry(ByteReader& table, std::span<const std::byte> bytes) {
  const std::uint32_t dtype = table.u32();
  const std::uint32_t zero = table.u32();
  const std::uint64_t offset = table.u64();
  const std::uint64_t count = table.u64();
  if (dtype >= static_cast<std::uint32_t>(DType::kString) || zero != 0) {
    return damaged("it has a dtype that arrays cannot have");
  }
  FileArray array;
  array.dtype = static_cast<DType>(dtype);
  if (offset % kArrayAlignment != 0) return damaged("it is not aligned to 64 bytes");
  const std::uint64_t size = dtype_size(array.dtype);
  if (count > kMaxFileBytes / size || !lies_within(offset, count * size, bytes.size())) {
    return damaged("it lies outside the file");
  }
  array.data = bytes.data() + offset;
  array.count = static_cast<std::size_t>(count);
  return array;
}

}  // namespace

Result<ForestFile> ForestFile::parse(std::span<const std::byte> bytes) {
  if (Status status = check_identity(bytes); !status.is_ok()) return status;
  Header header;
  ForestFile file;
  if (Status status = read_header(bytes, header, file); !status.is_ok()) return status;
  file.program = bytes.subspan(header.program_offset, header.program_bytes);
  ByteReader table(bytes.subspan(header.table_offset, header.arrays * kEntryBytes));
  file.arrays.reserve(header.arrays);
  for (std::uint32_t i = 0; i < header.arrays; ++i) {
    const Result<FileArray> array = read_entry(table, bytes);
    if (!array.is_ok()) {
      return invalid_argument("array " + std::to_string(i) + ": " + array.status().message());
    }
    // Also what bounds the work and memory of a load by the size of the file.
    if (!file.arrays.empty() && array.value().data < file.arrays.back().end()) {
      return damaged("array " + std::to_string(i) + " begins before the end of the one before it");
    }
    file.arrays.push_back(array.value());
  }
  return file;
}

}  // namespace slipstream::forest
