// The control messages between the server and a worker process, and the layout of what they
// announce. The twin of python/slipstream/worker/protocol.py; a test compares the two files.
//
// A Record is one packet of a SOCK_SEQPACKET socket. What it announces (its body) begins at offset
// 0 of a shared memory segment: the server writes the request segment, the worker the response
// segment, and each may grow its own. Strictly one request, one answer.
//
//   worker -> server   kReady    body: the model's specification    (once, first)
//                      kFailed   body: text; then the worker exits  (once, instead of kReady)
//   server -> worker   kExecute  body: input tensors
//   worker -> server   kResult   body: output tensors
//                      kError    body: text
//
// A body of tensors is a directory, per tensor a TensorEntry and its dimensions (int64), followed
// by payloads aligned to kPayloadAlignment. A payload of strings is n+1 offsets (uint64) into the
// UTF-8 bytes that follow them. A specification is a SpecHeader, then per tensor a SpecEntry, its
// dimensions and its name padded to 8 bytes. Numbers are little-endian throughout.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace slipstream::process {

inline constexpr std::uint32_t kProtocolVersion = 1;
inline constexpr std::uint32_t kMagic = 0x31574C53;  // "SLW1"
inline constexpr std::size_t kRecordBytes = 64;
inline constexpr std::size_t kPayloadAlignment = 64;
inline constexpr std::size_t kMaxRank = 64;  // NumPy's own limit
inline constexpr std::size_t kMaxTensors = 65536;
inline constexpr std::size_t kMaxTextBytes = 8192;

inline constexpr std::uint32_t kKindReady = 1;
inline constexpr std::uint32_t kKindFailed = 2;
inline constexpr std::uint32_t kKindExecute = 3;
inline constexpr std::uint32_t kKindResult = 4;
inline constexpr std::uint32_t kKindError = 5;

struct Record {
  std::uint32_t magic = kMagic;
  std::uint32_t kind = 0;
  std::uint64_t sequence = 0;       // of the request; the answer repeats it
  std::uint64_t body_bytes = 0;     // used bytes of the sender's segment
  std::uint64_t segment_bytes = 0;  // size of the sender's segment, to be mapped by the receiver
  std::uint64_t outputs_wanted = 0;
  std::uint32_t tensor_count = 0;
  std::uint32_t status = 0;  // StatusCode of kFailed and kError
  std::uint64_t reserved[2] = {};
};

struct TensorEntry {
  std::uint8_t dtype = 0;    // DType
  std::uint8_t present = 0;  // 0: an output that was not wanted; no dimensions, no payload
  std::uint16_t reserved = 0;
  std::uint32_t rank = 0;
  std::uint64_t offset = 0;  // of the payload, from the beginning of the segment
  std::uint64_t bytes = 0;   // of the payload
};

struct SpecHeader {
  std::uint32_t batchable = 0;
  std::uint32_t inputs = 0;
  std::uint32_t outputs = 0;
  std::uint32_t reserved = 0;
};

struct SpecEntry {
  std::uint32_t name_bytes = 0;
  std::uint8_t dtype = 0;
  std::uint8_t reserved0[3] = {};
  std::uint32_t rank = 0;
  std::uint32_t reserved1 = 0;
};

static_assert(std::endian::native == std::endian::little, "structs are copied as they are");
static_assert(sizeof(Record) == kRecordBytes && std::is_trivially_copyable_v<Record>);
static_assert(offsetof(Record, outputs_wanted) == 32 && offsetof(Record, status) == 44);
static_assert(sizeof(TensorEntry) == 24 && offsetof(TensorEntry, offset) == 8);
static_assert(sizeof(SpecHeader) == 16 && sizeof(SpecEntry) == 16);
static_assert(offsetof(SpecEntry, rank) == 8);

[[nodiscard]] constexpr std::uint64_t align_payload(std::uint64_t offset) noexcept {
  return (offset + kPayloadAlignment - 1) / kPayloadAlignment * kPayloadAlignment;
}

}  // namespace slipstream::process
