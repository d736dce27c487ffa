#include "backends/torch/failures.h"

#include <c10/util/Exception.h>
#include <torch/csrc/jit/runtime/jit_exception.h>

#include <algorithm>
#include <new>

namespace slipstream::libtorch {
namespace {

constexpr std::size_t kLongestMessage = 500;

// "RuntimeError: shapes do not match" -> "shapes do not match".
std::string_view without_class(std::string_view line) {
  const std::size_t colon = line.find(": ");
  if (colon == std::string_view::npos) return line;
  const std::string_view name = line.substr(0, colon);
  const bool is_class = name.ends_with("Error") || name.ends_with("Exception");
  return is_class && name.find(' ') == std::string_view::npos ? line.substr(colon + 2) : line;
}

std::string_view trimmed(std::string_view line) {
  const std::size_t begin = line.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return line.substr(begin, line.find_last_not_of(" \t\r") - begin + 1);
}

// What comes before the native frames, in any of the forms that c10 writes them.
std::string_view before_frames(std::string_view text) {
  for (const std::string_view mark : {"Exception raised from ", "C++ CapturedTraceback:", "frame #",
                                      "(most recent call first)"}) {
    text = text.substr(0, text.find(mark));
  }
  return text;
}

// Whether a word is the path of a file, or an address: "(/tmp/x.cpp:46", "0x7f36d3811b8d".
bool is_of_this_machine(std::string_view word) {
  const std::size_t begin = word.find_first_not_of("\"'`([{<");
  if (begin == std::string_view::npos) return false;
  word = word.substr(begin);
  if (word.starts_with("0x")) return word.size() > 8;
  return word.starts_with('/') && word.find('/', 1) != std::string_view::npos;
}

std::string without_places(std::string_view line) {
  std::string kept;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find(' '), line.size());
    const std::string_view word = line.substr(0, end);
    if (!kept.empty()) kept += ' ';
    kept += is_of_this_machine(word) ? std::string_view("(...)") : word;
    line = end == line.size() ? std::string_view{} : line.substr(end + 1);
  }
  return kept;
}

}  // namespace

std::string last_line(std::string_view text) {
  text = before_frames(text);
  while (!text.empty()) {
    const std::size_t begin = text.rfind('\n');
    const std::string_view line =
        trimmed(begin == std::string_view::npos ? text : text.substr(begin + 1));
    const bool is_marker = line.find_first_not_of("~<-^ ") == std::string_view::npos ||
                           line.find("<--- HERE") != std::string_view::npos;
    if (!line.empty() && !is_marker) {
      return without_places(without_class(line)).substr(0, kLongestMessage);
    }
    text = begin == std::string_view::npos ? std::string_view{} : text.substr(0, begin);
  }
  return "it did not say why";
}

Status status_of_current_exception(const std::string& while_doing) {
  const auto said = [&while_doing](std::string_view text) {
    return while_doing + ": " + last_line(text);
  };
  try {
    throw;
  } catch (const torch::jit::JITException& error) {
    return invalid_argument(said(error.what()));
  } catch (const c10::OutOfMemoryError& error) {
    return resource_exhausted(said(error.what_without_backtrace()));
  } catch (const c10::Error& error) {
    const std::string_view text = error.what_without_backtrace();
    if (text.find("can't allocate memory") != std::string_view::npos) {
      return resource_exhausted(while_doing + ": out of memory");
    }
    return internal_error(said(text));
  } catch (const std::bad_alloc&) {
    return resource_exhausted(while_doing + ": out of memory");
  } catch (const std::exception& error) {
    return internal_error(said(error.what()));
  } catch (...) {
    return internal_error(while_doing + ": it did not say why");
  }
}

}  // namespace slipstream::libtorch
