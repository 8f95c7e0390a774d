// The module, its exceptions, and what the library says aloud.
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include "bindings.h"
#include "reprise/error.h"

namespace reprise::python {

namespace {

/// Hands messages to Python's logger "reprise". It takes no lock of its own, so that a thread which waits for
/// the interpreter's cannot hold up another that has it.
class LoggingSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
  private:
    void sink_it_(const spdlog::details::log_msg& message) override {
        if (!nb::is_alive()) return;
        const nb::gil_scoped_acquire lock;
        try {
            nb::object logger = nb::module_::import_("logging").attr("getLogger")("reprise");
            logger.attr("log")(level_of(message.level), "%s",
                               nb::str(message.payload.data(), message.payload.size()));
        } catch (nb::python_error& error) {
            error.discard_as_unraisable("reprise: logging");
        }
    }
    void flush_() override {}

    /// logging's numbers.
    static int level_of(spdlog::level::level_enum level) {
        switch (level) {
            case spdlog::level::trace:
            case spdlog::level::debug:
                return 10;
            case spdlog::level::info:
                return 20;
            case spdlog::level::warn:
                return 30;
            default:
                return 40;
        }
    }
};

}  // namespace

std::string one_line(std::string_view message) {
    std::string result(message);
    for (char& c : result)
        if (static_cast<unsigned char>(c) < 0x20) c = ' ';
    return result;
}

void bind_errors(nb::module_& m) {
    auto logger = std::make_shared<spdlog::logger>("reprise.python", std::make_shared<LoggingSink>());
    logger->set_level(spdlog::level::debug);
    spdlog::set_default_logger(std::move(logger));

    static PyObject* const cancelled = PyErr_NewExceptionWithDoc(
        "reprise._core.Cancelled", "A run was stopped by a callback that returned False.", PyExc_RuntimeError,
        nullptr);
    m.attr("Cancelled") = nb::borrow(cancelled);
    nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
        try {
            std::rethrow_exception(thrown);
        } catch (const Error& error) {
            PyObject* type = error.kind() == ErrorKind::usage       ? PyExc_ValueError
                             : error.kind() == ErrorKind::cancelled ? cancelled
                                                                    : PyExc_RuntimeError;
            PyErr_SetString(type, one_line(error.what()).c_str());
        }
    });
}

}  // namespace reprise::python

NB_MODULE(_core, m) {
    m.doc() = "The C++ library behind the package `reprise`; use that.";
    m.attr("VERSION") = REPRISE_VERSION;
    reprise::python::bind_errors(m);
    reprise::python::bind_pipeline(m);
    reprise::python::bind_cachify(m);
    reprise::python::bind_report(m);
}
