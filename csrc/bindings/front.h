// Front: where requests for express routes enter from Granian, and leave.
//
// Granian parses HTTP on a thread of its own and enters Python on another, by calling the event
// loop's call_soon_threadsafe: once for a request's head, once when its body is there. A Front
// takes that method's place. It goes on there and then with what concerns an Exchange, and passes
// everything else on to the loop. The rare things (refusals, bodies that do not come, the general
// way) are calls of its `hooks`, slipstream.http.front.Front in Python.
//
// Threads: any, with the GIL, which guards everything here. Writing a long answer gives it away for
// a while: what is referred to meanwhile is held by a reference of its own.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bindings/exchange.h"
#include "bindings/gate.h"
#include "bindings/predict_route.h"

namespace slipstream::bindings {

struct FrontRoute {
  pybind11::str path;
  pybind11::object route;           // slipstream.http.types.Route, for the general way
  pybind11::object express_object;  // the PredictRoute, as Python has it
  PredictRoute* express;
  std::string id_prefix;
  // How many of each status; counted by exchanges, which only look at the rest.
  mutable std::vector<std::pair<int, std::uint64_t>> answers;
};

class Front {
 public:
  // `pass_on` is the loop's own call_soon_threadsafe. `keys` is None, or has a method
  // knows(headers). `process_id` is in the ids that are made up here; no other maker of ids may use
  // it.
  // `statuses` is the HTTP status of each class of slipstream.errors that a core Status becomes.
  Front(pybind11::object hooks, pybind11::object pass_on, std::shared_ptr<Gate> gate,
        pybind11::object keys, std::int64_t max_body_bytes, std::string process_id,
        std::unordered_map<std::string, int> statuses);
  ~Front();
  Front(const Front&) = delete;
  Front& operator=(const Front&) = delete;

  void add_route(pybind11::object route, const pybind11::str& path, std::string id_prefix,
                 pybind11::object express);

  // call_soon_threadsafe(callback, *args, context=None), as arguments of a vectorcall.
  [[nodiscard]] pybind11::object call_soon(PyObject* const* arguments, std::size_t count,
                                           PyObject* keywords);

  // The Exchange of a request whose head this is; None where the general way must answer. `keeper`
  // is a Python object that keeps this front alive.
  [[nodiscard]] pybind11::object admit(const pybind11::handle& scope, const pybind11::handle& proto,
                                       PyObject* keeper);

  // Answers what has ended on the route whose PredictRoute this is. On one thread.
  void drain(const pybind11::object& express);

  // The exchanges that are not over and at least that old, oldest first.
  [[nodiscard]] pybind11::list older_than(double seconds) const;

  // (path, status, how many) of the answers that were sent from here.
  [[nodiscard]] pybind11::list answers() const;

  // While false, the next request calls hooks.stir() and sets it.
  bool is_stirred = false;

  // What follows is for Exchange.
  void body_arrived(Exchange& exchange, PyObject* arriving);
  // Gives up everything the exchange holds, before its one answer; false: it had been over.
  bool close(Exchange& exchange) noexcept;
  // Lets the coroutine that awaits the exchange come to its end; false: Python has raised.
  bool finish(Exchange& exchange) noexcept;

 private:
  void begin(const pybind11::object& exchange, const pybind11::object& coroutine);
  void answer(Exchange& exchange, const pybind11::object& arriving);
  // Answered and refused outcomes only.
  void deliver(Exchange& exchange, const Outcome& outcome);
  void refuse(const pybind11::object& exchange, const std::exception& error);
  void send(Exchange& exchange, int status, const pybind11::object& body, bool may_retry);
  void count(const Exchange& exchange, int status);
  void note_failure(const Exchange& exchange, int status, const Status& why);
  void link(Exchange& exchange) noexcept;
  void unlink(Exchange& exchange) noexcept;
  [[nodiscard]] pybind11::object choose_id(const FrontRoute& route, PyObject* headers);
  [[nodiscard]] const pybind11::str& timestamp();

  pybind11::object hooks_;
  pybind11::object pass_on_;
  std::shared_ptr<Gate> gate_;
  pybind11::object keys_;
  std::int64_t max_body_bytes_;
  std::string process_id_;
  std::unordered_map<std::string, int> statuses_;
  std::uint64_t next_id_ = 1;
  std::vector<std::unique_ptr<FrontRoute>> routes_;
  Exchange* oldest_ = nullptr;
  Exchange* newest_ = nullptr;
  std::int64_t second_ = -1;
  std::int64_t failures_second_ = -1;
  int failures_logged_ = 0;  // in that second
  std::uint64_t failures_not_logged_ = 0;
  pybind11::str timestamp_;
  pybind11::tuple json_header_;
  pybind11::tuple retry_header_;
};

}  // namespace slipstream::bindings
