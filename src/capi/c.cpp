#include "reprise/c.h"

#include <algorithm>
#include <new>
#include <utility>

#include "capi/handles.h"
#include "capi/honours.h"
#include "capi/options.h"
#include "files/json.h"
#include "pipelines/attachments.h"
#include "report/run.h"

using reprise::Error;
using reprise::ErrorKind;

namespace {

/// What is given where there is no memory for an error of its own.
reprise_error& out_of_memory() {
    static reprise_error error{ErrorKind::failure, "out of memory"};
    return error;
}

void set(reprise_error** error, ErrorKind kind, const char* message) noexcept {
    if (error == nullptr) return;
    try {
        *error = new reprise_error{kind, message};
    } catch (...) {
        *error = &out_of_memory();
    }
}

/// What `body` returns; where it throws, nothing (null or false), and the error is set.
template <class Body>
auto guarded(reprise_error** error, const Body& body) noexcept -> decltype(body()) {
    try {
        return body();
    } catch (const Error& thrown) {
        set(error, thrown.kind(), thrown.what());
    } catch (const std::exception& thrown) {
        set(error, ErrorKind::failure, thrown.what());
    } catch (...) {
        set(error, ErrorKind::failure, "an exception of an unknown type");
    }
    return {};
}

/// Error (usage) for NULL.
template <class T>
T& given(T* argument, const char* name) {
    if (argument == nullptr) reprise::usage_error("the argument \"{}\" is NULL", name);
    return *argument;
}

reprise::Image image_of(const reprise_image& image) {
    given(image.rgb, "image->rgb");
    if (image.width < 1 || image.height < 1 || image.width > reprise::Image::kMaxSide ||
        image.height > reprise::Image::kMaxSide)
        reprise::usage_error("the picture has {}x{} pixels, expected sides from 1 to {}", image.width,
                             image.height, reprise::Image::kMaxSide);
    const auto bytes =
        std::size_t{3} * static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height);
    return {image.width, image.height, {image.rgb, image.rgb + bytes}};
}

reprise::Tensor tensor_of(const reprise_tensor& tensor) {
    constexpr std::size_t kMaxRank = 8;
    constexpr std::int64_t kMaxValues = std::int64_t{1} << 40;
    given(tensor.values, "tensor->values");
    given(tensor.shape, "tensor->shape");
    if (tensor.rank < 1 || tensor.rank > kMaxRank)
        reprise::usage_error("the tensor has {} dimensions, expected 1 to {}", tensor.rank, kMaxRank);
    reprise::Shape shape(tensor.shape, tensor.shape + tensor.rank);
    std::int64_t count = 1;
    for (const std::int64_t size : shape) {
        if (size < 1 || size > kMaxValues / count)
            reprise::usage_error("the tensor has shape {}, expected sizes from 1 on and at most {} values",
                                 reprise::to_string(shape), kMaxValues);
        count *= size;
    }
    return reprise::Tensor::from(std::move(shape), std::span(tensor.values, static_cast<std::size_t>(count)));
}

/// Calls back; an Error of kind cancelled where the call is to end.
void send(const reprise_call& call, const reprise_event& event) {
    if (call.stop.stop_requested()) throw Error(ErrorKind::cancelled, "the call was cancelled");
    if (call.callback != nullptr && !call.callback(&event, call.user))
        throw Error(ErrorKind::cancelled, "a callback stopped the call");
}

reprise_event event_of(reprise_event_kind kind, const std::string& text) {
    reprise_event event{};
    event.kind = kind;
    event.text = text.c_str();
    return event;
}

reprise_event event_of(const reprise::StepInfo& info) {
    reprise_event event{};
    event.kind = REPRISE_EVENT_STEP;
    event.step = info.step;
    event.num_steps = info.num_steps;
    event.seconds = info.seconds;
    event.flops_share = info.flops_share;
    event.timestep = info.timestep;
    event.reused = info.reused;
    return event;
}

reprise::GenerateOutput run(const reprise_call& call) {
    reprise::GenerateOptions options = call.options;
    options.stop = call.stop.get_token();
    options.on_phase = [&](std::string_view phase) {
        send(call, event_of(REPRISE_EVENT_PHASE, std::string(phase)));
    };
    if (call.callback != nullptr)  // else the log has them
        options.on_message = [&](const reprise::Message& message) {
            send(call, event_of(REPRISE_EVENT_MESSAGE, message.text));
        };
    options.callback_on_step_end = [&](reprise::StepInfo& info) {
        send(call, event_of(info));
        return true;
    };
    return (*call.pipe)(options);
}

/// While it lives, the call is running. Error (usage) where it is already.
class Running {
  public:
    explicit Running(std::atomic<bool>& running) : running_(running) {
        if (running_.exchange(true)) reprise::usage_error("the call is running already");
    }
    ~Running() { running_ = false; }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

  private:
    std::atomic<bool>& running_;
};

}  // namespace

const char* reprise_version() {
    return REPRISE_VERSION;
}

reprise_error_kind reprise_error_get_kind(const reprise_error* error) {
    if (error == nullptr) return REPRISE_ERROR_USAGE;
    switch (error->kind) {
        case ErrorKind::usage:
            return REPRISE_ERROR_USAGE;
        case ErrorKind::failure:
            return REPRISE_ERROR_FAILURE;
        case ErrorKind::cancelled:
            return REPRISE_ERROR_CANCELLED;
    }
    return REPRISE_ERROR_FAILURE;
}

const char* reprise_error_message(const reprise_error* error) {
    return error == nullptr ? "" : error->message.c_str();
}

void reprise_error_free(reprise_error* error) {
    if (error != &out_of_memory()) delete error;
}

reprise_pipeline* reprise_open(const char* folder, const char* options, reprise_error** error) {
    return guarded(error, [&] {
        given(folder, "folder");
        const auto load = reprise::capi::parse_load_options(options == nullptr ? "{}" : options);
        auto result = std::make_unique<reprise_pipeline>();
        result->pipe =
            std::make_shared<const reprise::Pipeline>(reprise::Pipeline::from_pretrained(folder, load));
        return result.release();
    });
}

void reprise_pipeline_free(reprise_pipeline* pipeline) {
    delete pipeline;
}

const char* reprise_pipeline_class(const reprise_pipeline* pipeline) {
    return pipeline == nullptr ? nullptr : pipeline->pipe->class_name().c_str();
}

const char* reprise_honours(const reprise_pipeline* pipeline, reprise_error** error) {
    return guarded(error, [&] {
        const reprise_pipeline& asked = given(pipeline, "pipeline");
        std::call_once(asked.honours_once, [&] {
            asked.honours = reprise::text_of(reprise::capi::honoured_options(*asked.pipe));
        });
        return asked.honours.c_str();
    });
}

reprise_call* reprise_call_new(const reprise_pipeline* pipeline, const char* options, reprise_error** error) {
    return guarded(error, [&] {
        auto call = std::make_unique<reprise_call>();
        call->pipe = given(pipeline, "pipeline").pipe;
        if (options != nullptr) reprise::capi::add_call_options(call->options, options);
        reprise::capi::check_options(*call->pipe, call->options);
        return call.release();
    });
}

void reprise_call_free(reprise_call* call) {
    delete call;
}

bool reprise_attach_image(reprise_call* call, const char* name, const reprise_image* image,
                          reprise_error** error) {
    return guarded(error, [&] {
        reprise::pipelines::attach(given(call, "call").options, &given(name, "name"),
                                   image_of(given(image, "image")));
        return true;
    });
}

bool reprise_attach_tensor(reprise_call* call, const char* name, const reprise_tensor* tensor,
                           reprise_error** error) {
    return guarded(error, [&] {
        reprise::pipelines::attach(given(call, "call").options, &given(name, "name"),
                                   tensor_of(given(tensor, "tensor")));
        return true;
    });
}

bool reprise_on(reprise_call* call, reprise_callback callback, void* user, reprise_error** error) {
    return guarded(error, [&] {
        given(call, "call").callback = callback;
        call->user = user;
        return true;
    });
}

void reprise_cancel(reprise_call* call) {
    if (call != nullptr) call->stop.request_stop();
}

reprise_result* reprise_generate(reprise_call* call, reprise_error** error) {
    return guarded(error, [&] {
        const Running running(given(call, "call").running);
        auto result = std::make_unique<reprise_result>();
        result->output = run(*call);
        result->report = reprise::report::to_json(result->output.report)
                             .dump(-1, ' ', false, reprise::Json::error_handler_t::replace);
        return result.release();
    });
}

void reprise_result_free(reprise_result* result) {
    delete result;
}

size_t reprise_result_image_count(const reprise_result* result) {
    return result == nullptr ? 0 : result->output.images.size();
}

bool reprise_result_image(const reprise_result* result, size_t index, reprise_image* image) {
    if (image == nullptr || index >= reprise_result_image_count(result)) return false;
    const reprise::Image& found = result->output.images[index];
    *image = {found.pixels().data(), found.width(), found.height()};
    return true;
}

bool reprise_result_latents(const reprise_result* result, reprise_tensor* latents) {
    if (result == nullptr || latents == nullptr) return false;
    const reprise::Tensor& found = result->output.latents;
    *latents = {static_cast<const float*>(found.data()), found.shape().data(), found.rank()};
    return true;
}

const char* reprise_result_report(const reprise_result* result) {
    return result == nullptr ? nullptr : result->report.c_str();
}

bool reprise_image_save(const reprise_image* image, const char* path, reprise_error** error) {
    return guarded(error, [&] {
        given(path, "path");
        image_of(given(image, "image")).save(path);
        return true;
    });
}
