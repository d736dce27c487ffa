#include "wire/nested.h"

#include <algorithm>
#include <type_traits>

#include "wire/json.h"
#include "wire/msgpack.h"
#include "wire/nested_failures.h"

namespace slipstream::wire {

template <class Format>
NestedReader<Format>::NestedReader(DecodeContext& context, const TensorSpec& spec, Role role,
                                   std::size_t depth)
    : context_(context),
      spec_(spec),
      role_(role),
      depth_(depth),
      begin_(context.cursor.next),
      dims_(spec.dims),
      index_(spec.dims),
      buffer_(spec.dtype, context.memory) {
  visit_cell(spec.dtype, [this](auto cell) {
    read_leaf_ = &NestedReader::template read_leaf<std::remove_cvref_t<decltype(cell)>>;
  });
  for (std::size_t axis = 0; axis < dims_.rank(); ++axis) {
    if (dims_[axis] < 0) dims_.set_dim(axis, -1);
    index_.set_dim(axis, 0);
  }
  const auto names = static_cast<std::int64_t>(context.schema.column_names.size());
  if (role == Role::kRows && names > 0 && dims_.rank() == 2) dims_.set_dim(1, names);
}

template <class Format>
bool NestedReader<Format>::read(Tensor& tensor) {
  const std::size_t rank = dims_.rank();
  // Nothing is taken on trust: not more than the bytes that are left could possibly hold.
  const auto possible = static_cast<std::int64_t>(context_.cursor.left()) / Format::kLeastBytes + 1;
  const std::int64_t first = std::min({fixed_elements(), possible, context_.elements_left});
  if (first > 0) buffer_.reserve(0, first);
  if (!(rank == 0 ? read_scalar() : read_list(0))) return false;
  // A dimension nobody saw lies below an empty one.
  for (std::size_t axis = 0; axis < rank; ++axis) {
    if (dims_[axis] < 0) dims_.set_dim(axis, 0);
  }
  context_.elements_left -= size_;
  if (buffer_.capacity() == 0) buffer_.reserve(0, 0);
  tensor = buffer_.finish(dims_);
  return true;
}

// A first guess at the size: one row if its size is known, else a few values.
template <class Format>
std::int64_t NestedReader<Format>::fixed_elements() const noexcept {
  constexpr std::int64_t kFew = 16;
  std::int64_t elements = 1;
  for (std::size_t axis = 0; axis < dims_.rank(); ++axis) {
    const std::int64_t dim = dims_[axis];
    if (dim < 0 && axis == 0) continue;
    if (dim < 0 || __builtin_mul_overflow(elements, dim, &elements)) return kFew;
  }
  return dims_.rank() == 1 && dims_[0] < 0 ? kFew : elements;
}

template <class Format>
bool NestedReader<Format>::read_list(std::size_t axis) {
  Cursor& cursor = context_.cursor;
  Format::skip_space(cursor);
  Frame list;
  if (!Format::open_list(cursor, list)) {
    return stands_for_list(axis) ? read_text(axis) : fail_not_list(axis);
  }
  if (depth_ + axis >= context_.limits.max_depth) return false;  // as Format::check will say
  if (!Format::has_item(cursor, list)) return close_list(axis, 0);
  return axis + 1 == dims_.rank() ? (this->*read_leaf_)(axis, list) : read_lists(axis, list);
}

// The elements of a list of lists, from its first one.
template <class Format>
bool NestedReader<Format>::read_lists(std::size_t axis, Frame& list) {
  Cursor& cursor = context_.cursor;
  std::int64_t count = 0;
  for (;;) {
    index_.set_dim(axis, count);
    if (count == dims_[axis]) return fail_too_long(axis, count, list);
    if (axis == 0 && count == context_.limits.max_rows) return fail_rows();
    if (!read_list(axis + 1)) return false;
    ++count;
    const Next behind = Format::next_item(cursor, list);
    if (behind == Next::kItem) continue;
    return behind == Next::kEnd && close_list(axis, count);
  }
}

// The elements of a list of values, from its first one.
template <class Format>
template <class Cell>
bool NestedReader<Format>::read_leaf(std::size_t axis, Frame& list) {
  using Element = typename Cell::Element;
  const std::int64_t begin = size_;
  for (;;) {  // once, and again each time the buffer was full
    std::int64_t room = buffer_.capacity() - size_;
    if (dims_[axis] >= 0) room = std::min(room, begin + dims_[axis] - size_);
    Element* const first = reinterpret_cast<Element*>(buffer_.data()) + size_;
    const auto run =
        read_run<Format, Cell>(context_.cursor, list, first, first + room, context_.cells);
    size_ += run.next - first;
    const std::int64_t count = size_ - begin;
    switch (run.end) {
      case RunEnd::kClosed:
        return close_list(axis, count);
      case RunEnd::kFault:
        index_.set_dim(axis, count);
        return fail_cell(run.fault, count);
      case RunEnd::kFull:
        if (count == dims_[axis]) return fail_too_long(axis, count, list);
        if (!grow()) return false;
    }
  }
}

// Whether a text is at the cursor, and means the list of its bytes.
template <class Format>
bool NestedReader<Format>::stands_for_list(std::size_t axis) const noexcept {
  return context_.schema.takes_text && axis + 1 == dims_.rank() && holds_bytes(spec_.dtype) &&
         Format::kind(context_.cursor) == ValueKind::kString;
}

template <class Format>
bool NestedReader<Format>::read_text(std::size_t axis) {
  std::string_view text;
  if (Format::read_text(context_.cursor, context_.cells.scratch, text) != Fault::kNone) {
    return false;  // as Format::check will say
  }
  const auto count = static_cast<std::int64_t>(text.size());
  if (count > context_.elements_left - size_) return fail_elements();
  if (count > buffer_.capacity() - size_) {
    buffer_.reserve(size_, std::min(std::max(2 * size_, size_ + count), context_.elements_left));
  }
  visit_cell(spec_.dtype, [this, text](auto cell) {
    using Cell = decltype(cell);
    if constexpr (!std::is_same_v<Cell, StringCell>) {
      auto* element = reinterpret_cast<typename Cell::Element*>(buffer_.data()) + size_;
      for (const char byte : text) {  // cannot fail: holds_bytes
        (void)Cell::convert(static_cast<std::uint8_t>(byte), *element++, false);
      }
    }
  });
  size_ += count;
  return close_list(axis, count);
}

template <class Format>
bool NestedReader<Format>::read_scalar() {
  Format::skip_space(context_.cursor);
  if (context_.elements_left < 1) return fail_elements();
  const Fault fault = visit_cell(spec_.dtype, [this](auto cell) {
    using Cell = decltype(cell);
    auto& element = *reinterpret_cast<typename Cell::Element*>(buffer_.data());
    return Cell::template read<Format>(context_.cursor, element, context_.cells);
  });
  if (fault != Fault::kNone) return fail_cell(fault, 0);
  size_ = 1;
  return true;
}

// Makes room for at least one element more: twice as many, or as many as the rest of the document
// would hold if it went on like this, never more than it can hold at all.
template <class Format>
bool NestedReader<Format>::grow() {
  if (size_ >= context_.elements_left) return fail_elements();
  const auto left = static_cast<std::int64_t>(context_.cursor.left());
  const std::int64_t read = context_.cursor.next - begin_;
  std::int64_t capacity = std::max<std::int64_t>(2 * size_, 16);
  if (context_.schema.inputs.size() == 1 && size_ > 0) {
    const double density = static_cast<double>(size_) / static_cast<double>(read);
    const auto rest = static_cast<std::int64_t>(density * static_cast<double>(left) * 1.03);
    capacity = std::max(capacity, size_ + rest + 16);
  }
  capacity = std::min({capacity, size_ + left / Format::kLeastBytes + 1, context_.elements_left});
  buffer_.reserve(size_, capacity);
  return true;
}

// Behind a list with `count` elements.
template <class Format>
bool NestedReader<Format>::close_list(std::size_t axis, std::int64_t count) {
  index_.set_dim(axis, count);
  if (axis == 0 && count > context_.limits.max_rows) return fail_rows();
  if (count == dims_[axis]) return true;
  if (dims_[axis] >= 0) return fail_size(axis, count);
  if (count == 0 && (axis == 0 || role_ == Role::kRows)) return fail_empty(axis);
  dims_.set_dim(axis, count);
  return true;
}

template class NestedReader<Json>;
template class NestedReader<Msgpack>;

}  // namespace slipstream::wire
