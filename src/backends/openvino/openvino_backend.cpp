// OpenVINO: the default engine of CPUs, and of whatever else it has a plugin for.
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "backends/binding.h"
#include "backends/factories.h"
#include "backends/host_queue.h"
#include "backends/openvino/cpu_precision.h"
#include "backends/openvino/lowering.h"
#include "core/machine.h"
#include "reprise/error.h"

namespace reprise::backends {

namespace {

using graph::Graph;
using Source = Lowered::Output::Source;

/// The last line of an OpenVINO message: the ones before say where in its sources it was thrown.
std::string gist(const std::exception& error) {
    std::string text = error.what();
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    const auto line = text.rfind('\n');
    return line == std::string::npos ? text : text.substr(line + 1);
}

/// Runs `action`, turning an OpenVINO exception into a one-line Error that begins with `what`.
template <class Action>
auto translated(std::string_view what, const Action& action) {
    try {
        return action();
    } catch (const Error&) {
        throw;
    } catch (const std::exception& error) {
        failure("{}: OpenVINO: {}", what, gist(error));
    }
}

/// What requests share.
struct Compiled {
    Graph graph;
    Lowered lowered;
    mutable ov::CompiledModel model;  ///< empty when lowered.model is null
};

class OpenvinoRequest final : public Request {
  public:
    explicit OpenvinoRequest(std::shared_ptr<const Compiled> compiled)
        : compiled_(std::move(compiled)),
          inputs_(compiled_->graph.inputs.size()),
          outputs_(compiled_->graph.outputs.size()) {
        if (compiled_->lowered.model) request_ = compiled_->model.create_infer_request();
    }

    void run(std::span<const Value* const> inputs, std::span<Value* const> outputs) override {
        check_host_run(compiled_->graph, inputs, outputs);
        for (std::size_t i = 0; i < inputs.size(); ++i) bind_input(i, inputs[i]->host());
        for (std::size_t i = 0; i < outputs.size(); ++i) bind_output(i, outputs[i]->host());
        if (compiled_->lowered.model) translated(compiled_->graph.name, [&] { request_.infer(); });
        for (std::size_t i = 0; i < outputs.size(); ++i) copy_output(i);
    }

  private:
    void bind_input(std::size_t i, const Tensor& tensor) {
        if (tensor.data() == inputs_[i].data()) return;  // held here, so it is the same memory
        inputs_[i] = tensor;
        if (const auto parameter = compiled_->lowered.parameters[i]) {
            translated(compiled_->graph.name,
                       [&] { request_.set_input_tensor(*parameter, wrapped(inputs_[i])); });
        }
    }

    void bind_output(std::size_t i, const Tensor& tensor) {
        if (tensor.data() == outputs_[i].data()) return;
        outputs_[i] = tensor;
        const auto& output = compiled_->lowered.outputs[i];
        if (output.source == Source::model)
            translated(compiled_->graph.name,
                       [&] { request_.set_output_tensor(output.index, wrapped(outputs_[i])); });
    }

    static ov::Tensor wrapped(Tensor& tensor) {
        return {to_openvino(tensor.type()), to_openvino(tensor.shape()), tensor.data()};
    }

    void copy_output(std::size_t i) {
        const auto& output = compiled_->lowered.outputs[i];
        const Tensor* from = nullptr;
        if (output.source == Source::input) {
            from = &inputs_[output.index];
        } else if (output.source == Source::output) {
            from = &outputs_[output.index];
        } else if (output.source == Source::constant) {
            from = &output.constant;
        } else {
            return;
        }
        if (from->data() != outputs_[i].data())
            std::memmove(outputs_[i].data(), from->data(), outputs_[i].bytes());
    }

    std::shared_ptr<const Compiled> compiled_;
    std::vector<Tensor> inputs_, outputs_;
    ov::InferRequest request_;
};

class OpenvinoExecutable final : public Executable {
  public:
    explicit OpenvinoExecutable(std::shared_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}

    std::unique_ptr<Request> request(Queue& /*queue*/) const override {
        return translated(compiled_->graph.name,
                          [&] { return std::make_unique<OpenvinoRequest>(compiled_); });
    }
    void release_memory() const override {
        if (compiled_->lowered.model)
            translated(compiled_->graph.name, [&] { compiled_->model.release_memory(); });
    }

  private:
    std::shared_ptr<const Compiled> compiled_;
};

bool is_cpu(std::string_view device) {
    return device == "CPU" || device.starts_with("CPU.");
}

/// One for the process, never let go. The CPU plugin of each core puts a signal stack on the thread that
/// loads it and, when it goes, puts back the one it found, which may be that of a core that went before: the
/// next signal there, such as Ctrl-C in Python, would end the process.
ov::Core& core() {
    static auto* const one = new ov::Core;
    return *one;
}

class OpenvinoBackend final : public Backend {
  public:
    std::string_view name() const override { return "openvino"; }

    std::vector<std::string> devices() const override {
        return translated("devices", [&] { return core().get_available_devices(); });
    }

    DType preferred_precision(std::string_view device) const override {
        check_device(device);
        if (is_cpu(device)) return bf16_is_faster(onednn_isa_limit()) ? DType::bf16 : DType::f32;
        return computes_in(device, DType::bf16) ? DType::bf16 : DType::f32;
    }

    void check_precision(std::string_view device, DType precision) const override {
        check_device(device);
        if (computes_in(device, precision)) return;
        std::vector<std::string_view> able;
        for (const DType type : {DType::f32, DType::bf16, DType::f16})
            if (computes_in(device, type)) able.push_back(name_of(type));
        usage_error("device {} does not compute natively in {}; use {}", device, name_of(precision),
                    fmt::join(able, " or "));
    }

    Traits traits(std::string_view device) const override {
        check_device(device);
        return {};
    }

    std::unique_ptr<Queue> queue(const CompileOptions& options) const override {
        return host_queue(options.threads);
    }

    /// Code and what it needs for each operation, and weights in the engine's own layout. Measured after a
    /// first run on a CPU with AVX-512, by operation: 125 kB and 0.5 mappings of 785 in a convolutional
    /// model, 130 kB and 0.6 of 518 in another; 105 kB and 0.4 of 1,093, 60 kB and 0.3 of 1,595 in
    /// transformers. The number of threads, the batch and the size change it by a tenth at most.
    Footprint footprint(const Graph& graph) const override {
        constexpr double kBytes = 130e3, kMappings = 0.65;
        Footprint result;
        for (const auto& node : graph.nodes) {
            if (node.op == graph::Op::input) continue;
            if (node.op == graph::Op::constant)
                result.bytes +=
                    static_cast<double>(element_count(node.shape)) * static_cast<double>(size_of(node.type));
            else
                result += {kBytes, kMappings};
        }
        return result;
    }

    std::unique_ptr<Executable> compile(const Graph& graph, const CompileOptions& options) const override {
        check_precision(options.device, options.precision);
        check_types(graph, options.precision);
        return translated(graph.name, [&] {
            auto compiled = std::make_shared<Compiled>(Compiled{graph, lower(graph), {}});
            if (compiled->lowered.model)
                compiled->model =
                    core().compile_model(compiled->lowered.model, options.device, properties(options));
            return std::make_unique<OpenvinoExecutable>(std::move(compiled));
        });
    }

  private:
    static ov::AnyMap properties(const CompileOptions& options) {
        ov::AnyMap result = {
            ov::hint::inference_precision(to_openvino(options.precision)),
            ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY),
        };
        if (is_cpu(options.device)) {
            result.insert(ov::num_streams(1));
            // The engine's own choice is a thread for each core, whatever a control group allows.
            const std::size_t allowed = machine::processors();
            if (options.threads > 0)
                result.insert(ov::inference_num_threads(options.threads));
            else if (allowed < std::thread::hardware_concurrency())
                result.insert(ov::inference_num_threads(static_cast<int>(allowed)));
        }
        return result;
    }

    void check_device(std::string_view device) const {
        const auto all = devices();
        const auto is_known = [&](const std::string& known) {
            return device == known || device.starts_with(known + ".") ||
                   known.starts_with(fmt::format("{}.", device));
        };
        if (std::none_of(all.begin(), all.end(), is_known))
            usage_error("OpenVINO finds no device '{}' on this machine, only {}", device,
                        fmt::join(all, ", "));
    }

    bool computes_in(std::string_view device, DType precision) const {
        if (precision == DType::f32) return true;
        if (precision != DType::bf16 && precision != DType::f16) return false;
#if defined(__x86_64__)
        if (is_cpu(device)) {  // its plugin also claims what it emulates
            const auto limit = onednn_isa_limit();
            return precision == DType::bf16 ? cpu_has_bf16(limit) : cpu_has_f16(limit);
        }
#endif
        const auto capabilities = translated(
            device, [&] { return core().get_property(std::string(device), ov::device::capabilities); });
        const std::string_view wanted = precision == DType::bf16 ? "BF16" : "FP16";
        return std::find(capabilities.begin(), capabilities.end(), wanted) != capabilities.end();
    }
};

}  // namespace

bool has_openvino() {
    return true;
}

std::shared_ptr<Backend> create_openvino() {
    return translated("openvino", [] { return std::make_shared<OpenvinoBackend>(); });
}

}  // namespace reprise::backends
