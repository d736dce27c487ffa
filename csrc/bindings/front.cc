#include "bindings/front.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <exception>
#include <string_view>
#include <utility>

#include "bindings/errors.h"
#include "core/clock.h"
#include "wire/encode.h"

namespace py = pybind11;

namespace slipstream::bindings {
namespace {

constexpr std::size_t kLongestOfferedId = 128;
constexpr int kOk = 200;
constexpr int kInternalServerError = 500;
constexpr int kServiceUnavailable = 503;
constexpr int kFailuresLoggedASecond = 10;

// Names of attributes and methods, made once: looking them up is most of what is done here.
struct Names {
  py::str path{"path"};
  py::str method{"method"};
  py::str headers{"headers"};
  py::str get{"get"};
  py::str content_length{"content-length"};
  py::str accept{"accept"};
  py::str content_type{"content-type"};
  py::str expect{"expect"};
  py::str request_id{"x-request-id"};
  py::str add_done_callback{"add_done_callback"};
  py::str result{"result"};
  py::str response_bytes{"response_bytes"};
};

const Names& names() {
  static const auto* const made = new Names();  // never destroyed: Python may be gone by then
  return *made;
}

py::object owned(PyObject* object) {
  if (object == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(object);
}

py::object attribute(const py::handle& object, const py::str& name) {
  return owned(PyObject_GetAttr(object.ptr(), name.ptr()));
}

template <class... Arguments>
py::object call_method(const py::handle& object, const py::str& name,
                       const Arguments&... arguments) {
  const std::array<PyObject*, 1 + sizeof...(arguments)> given{object.ptr(), arguments.ptr()...};
  return owned(PyObject_VectorcallMethod(name.ptr(), given.data(), given.size(), nullptr));
}

std::string_view text_of(const py::handle& text) {
  Py_ssize_t size = 0;
  const char* const begin = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
  if (begin == nullptr) throw py::error_already_set();
  return {begin, static_cast<std::size_t>(size)};
}

// A decimal number of at most 15 digits; -1 for anything else.
std::int64_t count_of(std::string_view text) noexcept {
  if (text.empty() || text.size() > 15) return -1;
  std::int64_t count = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return -1;
    count = count * 10 + (c - '0');
  }
  return count;
}

// Whether a media type, or a list of them, is one of the forms that are not JSON
// (slipstream.http.forms), or may be.
bool names_binary_form(const py::object& header) {
  if (header.is_none()) return false;
  const std::string_view types = text_of(header);
  return types != "application/json" && types != "*/*" &&
         (types.find("msgpack") != std::string_view::npos ||
          types.find("octet-stream") != std::string_view::npos ||
          types.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") != std::string_view::npos);
}

bool is_visible_ascii(std::string_view text) noexcept {
  for (const char c : text) {
    if (c < 0x21 || c > 0x7e) return false;
  }
  return !text.empty();
}

}  // namespace

Front::Front(py::object hooks, py::object pass_on, std::shared_ptr<Gate> gate, py::object keys,
             std::int64_t max_body_bytes, std::string process_id,
             std::unordered_map<std::string, int> statuses)
    : hooks_(std::move(hooks)),
      pass_on_(std::move(pass_on)),
      gate_(std::move(gate)),
      keys_(std::move(keys)),
      max_body_bytes_(max_body_bytes),
      process_id_(std::move(process_id)),
      statuses_(std::move(statuses)),
      json_header_(py::make_tuple("content-type", "application/json")),
      retry_header_(py::make_tuple("retry-after", "1")) {}

Front::~Front() = default;

void Front::add_route(py::object route, const py::str& path, std::string id_prefix,
                      py::object express) {
  auto* const predict = express.cast<PredictRoute*>();
  routes_.push_back(std::make_unique<FrontRoute>(
      FrontRoute{path, std::move(route), std::move(express), predict, std::move(id_prefix), {}}));
}

py::object Front::call_soon(PyObject* const* arguments, std::size_t count, PyObject* keywords) {
  if (count > 1) {
    PyObject* const callback = arguments[0];
    PyObject* const first = arguments[1];
    if (is_exchange(callback)) {
      body_arrived(*reinterpret_cast<Exchange*>(callback), first);
      return py::none();
    }
    // Only Granian's scheduler hands a coroutine over: a new request's, not yet begun.
    if (PyCoro_CheckExact(first)) {
      PyObject* awaited = nullptr;
      const PySendResult sent = PyIter_Send(first, Py_None, &awaited);
      if (sent == PYGEN_ERROR) throw py::error_already_set();
      const py::object result = py::reinterpret_steal<py::object>(awaited);
      if (sent == PYGEN_RETURN) return py::none();  // it has failed, and said so
      if (is_exchange(awaited)) {
        begin(result, py::reinterpret_borrow<py::object>(first));
        return py::none();
      }
    }
  }
  return owned(PyObject_Vectorcall(pass_on_.ptr(), arguments, count, keywords));
}

py::object Front::admit(const py::handle& scope, const py::handle& proto, PyObject* keeper) {
  if (!is_stirred) {
    is_stirred = true;
    hooks_.attr("stir")();
  }
  const Names& name = names();
  const py::object path = attribute(scope, name.path);
  const FrontRoute* found = nullptr;
  for (const auto& route : routes_) {
    if (PyUnicode_Compare(route->path.ptr(), path.ptr()) == 0) found = route.get();
  }
  if (found == nullptr || text_of(attribute(scope, name.method)) != "POST") return py::none();
  const py::object headers = attribute(scope, name.headers);
  const py::object announced = call_method(headers, name.get, name.content_length);
  if (announced.is_none()) return py::none();
  const std::int64_t length = count_of(text_of(announced));
  if (length <= 0 || length > max_body_bytes_) return py::none();
  if (!call_method(headers, name.get, name.expect).is_none()) return py::none();
  if (names_binary_form(call_method(headers, name.get, name.content_type)) ||
      names_binary_form(call_method(headers, name.get, name.accept))) {
    return py::none();
  }
  if (!keys_.is_none() && !keys_.attr("knows")(headers).cast<bool>()) return py::none();
  const py::object request_id = choose_id(*found, headers.ptr());
  if (!gate_->try_enter()) return py::none();
  if (!gate_->try_reserve(length)) {
    gate_->leave(0);
    return py::none();
  }
  Exchange* const made = new_exchange(*this, keeper, *found, scope.ptr(), proto.ptr(),
                                      headers.ptr(), request_id.ptr(), length);
  if (made == nullptr) {
    gate_->leave(length);
    throw py::error_already_set();
  }
  return py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(made));
}

// The client's X-Request-ID if it is 1 to 128 visible characters of ASCII, else a new one.
py::object Front::choose_id(const FrontRoute& route, PyObject* headers) {
  const Names& name = names();
  py::object offered = call_method(py::handle(headers), name.get, name.request_id);
  if (!offered.is_none()) {
    const std::string_view text = text_of(offered);
    if (text.size() <= kLongestOfferedId && is_visible_ascii(text)) return offered;
  }
  std::array<char, 24> number;
  const int size = std::snprintf(number.data(), number.size(), "%06llx",
                                 static_cast<unsigned long long>(next_id_++));
  std::string text = route.id_prefix + process_id_;
  text.append(number.data(), static_cast<std::size_t>(size));
  return py::str(text);
}

// The present second in UTC, as slipstream.http.clock writes it.
const py::str& Front::timestamp() {
  const std::time_t now = std::time(nullptr);
  if (now != second_) {
    std::tm utc{};
    gmtime_r(&now, &utc);
    std::array<char, 32> text;
    const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
    timestamp_ = py::str(text.data(), size);
    second_ = now;
  }
  return timestamp_;
}

void Front::begin(const py::object& exchange, const py::object& coroutine) {
  auto& self = *reinterpret_cast<Exchange*>(exchange.ptr());
  self.coroutine = Py_NewRef(coroutine.ptr());
  link(self);
  const py::object arriving = owned(PyObject_CallNoArgs(self.proto));
  self.arriving = Py_NewRef(arriving.ptr());
  call_method(arriving, names().add_done_callback, exchange);
}

void Front::body_arrived(Exchange& exchange, PyObject* arriving) {
  Py_CLEAR(exchange.arriving);
  answer(exchange, py::reinterpret_borrow<py::object>(arriving));
}

void Front::answer(Exchange& exchange, const py::object& arriving) {
  const py::object self =
      py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(&exchange));
  const char* hook = "lost";  // the body
  try {
    const py::object body = call_method(arriving, names().result);
    hook = "refuse";
    // A share of its own: long answers are written without the GIL, and a second may begin then.
    const py::str now = timestamp();
    const Outcome outcome = exchange.route->express->answer(
        py::reinterpret_borrow<py::bytes>(body),
        py::reinterpret_borrow<py::str>(exchange.request_id), now, self);
    if (outcome.kind == Outcome::Kind::kDeclined) {
      hooks_.attr("general")(self, body);
    } else if (outcome.kind == Outcome::Kind::kWaits) {
      exchange.tag = outcome.tag;
    } else {
      deliver(exchange, outcome);
    }
  } catch (py::error_already_set& error) {
    hooks_.attr(hook)(self, error.value());
  } catch (const std::exception& error) {
    refuse(self, error);
  }
}

void Front::drain(const py::object& express) {
  const py::str now = timestamp();
  for (const auto& [who, outcome] : express.cast<PredictRoute&>().drain(now)) {
    if (!is_exchange(who.ptr())) continue;  // of somebody who called answer() himself
    try {
      try {
        deliver(*reinterpret_cast<Exchange*>(who.ptr()), outcome);
      } catch (py::error_already_set& error) {
        hooks_.attr("refuse")(who, error.value());
      } catch (const std::exception& error) {
        refuse(who, error);
      }
    } catch (py::error_already_set& error) {  // of one: the others must get theirs
      error.discard_as_unraisable("Front.drain");
    }
  }
}

// What C++ throws here is that there is no memory.
void Front::refuse(const py::object& exchange, const std::exception& error) {
  PyErr_Clear();
  const Status status = resource_exhausted(std::string("the answer failed: ") + error.what());
  hooks_.attr("refuse")(exchange, exception_of(status));
}

void Front::deliver(Exchange& exchange, const Outcome& outcome) {
  if (outcome.kind == Outcome::Kind::kAnswered) {
    send(exchange, kOk, outcome.body, false);
    return;
  }
  const std::string_view kind = error_class_of(outcome.status.code());
  const auto status = statuses_.find(std::string(kind));
  if (status == statuses_.end()) {
    hooks_.attr("refuse")(py::handle(reinterpret_cast<PyObject*>(&exchange)),
                          exception_of(outcome.status));
    return;
  }
  // As slipstream.http.errors writes it. Overload makes these the most frequent answers of all.
  std::string text = "{\"error\":\"";
  text.append(kind).append("\",\"message\":");
  encode_string(outcome.status.message(), text);
  text.append(",\"details\":{},\"timestamp\":\"").append(text_of(timestamp()));
  text.append("\",\"request_id\":");
  encode_string(text_of(py::handle(exchange.request_id)), text);
  text.push_back('}');
  if (status->second >= kInternalServerError)
    note_failure(exchange, status->second, outcome.status);
  send(exchange, status->second, py::bytes(text), status->second == kServiceUnavailable);
}

// Has a failure logged. Overload fails thousands of requests a second, and a line costs more than
// an answer: beyond some in each second they are only counted, and the next line tells how many.
void Front::note_failure(const Exchange& exchange, int status, const Status& why) {
  if (failures_second_ != second_) {
    failures_second_ = second_;
    failures_logged_ = 0;
  }
  if (failures_logged_ >= kFailuresLoggedASecond) {
    ++failures_not_logged_;
    return;
  }
  ++failures_logged_;
  const std::uint64_t not_logged = std::exchange(failures_not_logged_, 0);
  hooks_.attr("failed")(py::handle(exchange.request_id), status, error_class_of(why.code()),
                        why.message(), not_logged);
}

// Answers with JSON. `may_retry` adds the header that says when.
void Front::send(Exchange& exchange, int status, const py::object& body, bool may_retry) {
  const Names& name = names();
  py::list headers(may_retry ? 3 : 2);
  headers[0] = json_header_;
  headers[1] = owned(PyTuple_Pack(2, name.request_id.ptr(), exchange.request_id));
  if (may_retry) headers[2] = retry_header_;
  const py::int_ code(status);
  if (!close(exchange)) return;  // from here on it has to be finished
  count(exchange, status);
  try {
    call_method(py::handle(exchange.proto), name.response_bytes, code, headers, body);
  } catch (py::error_already_set&) {
    if (!finish(exchange)) PyErr_Clear();
    throw;
  }
  if (!finish(exchange)) throw py::error_already_set();
}

// Few statuses ever occur, and success comes first: a search costs nothing.
void Front::count(const Exchange& exchange, int status) {
  auto& answers = exchange.route->answers;
  const auto found = std::ranges::find(answers, status, &std::pair<int, std::uint64_t>::first);
  if (found != answers.end()) {
    ++found->second;
  } else {
    answers.emplace_back(status, 1);
  }
}

py::list Front::answers() const {
  py::list found;
  for (const auto& route : routes_) {
    for (const auto& [status, count] : route->answers) {
      found.append(py::make_tuple(route->path, status, count));
    }
  }
  return found;
}

bool Front::close(Exchange& exchange) noexcept {
  if (exchange.is_over) return false;
  exchange.is_over = true;
  if (exchange.coroutine != nullptr) unlink(exchange);
  gate_->leave(exchange.reserved_bytes);
  return true;
}

bool Front::finish(Exchange& exchange) noexcept {
  const py::object coroutine =
      py::reinterpret_steal<py::object>(std::exchange(exchange.coroutine, nullptr));
  if (!coroutine) return true;
  PyObject* result = nullptr;
  const PySendResult sent = PyIter_Send(coroutine.ptr(), Py_None, &result);
  Py_XDECREF(result);
  if (sent == PYGEN_NEXT) {
    PyErr_SetString(PyExc_RuntimeError, "the server awaited more than the answer");
    return false;
  }
  return sent == PYGEN_RETURN;
}

void Front::link(Exchange& exchange) noexcept {
  exchange.previous = newest_;
  exchange.next = nullptr;
  (newest_ != nullptr ? newest_->next : oldest_) = &exchange;
  newest_ = &exchange;
}

void Front::unlink(Exchange& exchange) noexcept {
  (exchange.previous != nullptr ? exchange.previous->next : oldest_) = exchange.next;
  (exchange.next != nullptr ? exchange.next->previous : newest_) = exchange.previous;
}

py::list Front::older_than(double seconds) const {
  const Nanoseconds latest = now_ns() - static_cast<Nanoseconds>(seconds * 1e9);
  py::list found;
  for (Exchange* exchange = oldest_; exchange != nullptr && exchange->began_ns <= latest;
       exchange = exchange->next) {
    found.append(py::handle(reinterpret_cast<PyObject*>(exchange)));
  }
  return found;
}

}  // namespace slipstream::bindings
