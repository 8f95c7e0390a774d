// The worked example of docs/architecture.md: prints what the planner makes of three blocks, and compares it
// with the page.
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "cachify/plan.h"
#include "graph/builder.h"
#include "models/denoiser.h"

namespace reprise::cachify {
namespace {

graph::Graph three_blocks() {
    graph::Builder b("denoiser", DType::f32, nullptr);
    const graph::Value sample = b.input(models::latents_input({1, 4, 1, 1}));
    const graph::Value text = b.input(models::fixed_input("text", {1, 4, 1, 1}));
    graph::Value x = b.conv2d(sample, "conv_in", 4, 1);
    {
        auto block = b.module("block.0", ModuleKind::block);
        block.takes({x});
        x = block.returns(b.silu(x));
    }
    {
        auto block = b.module("block.1", ModuleKind::block);
        block.takes({x});
        x = block.returns(x * b.silu(text));
    }
    {
        auto block = b.module("block.2", ModuleKind::block);
        block.takes({x});
        x = block.returns(b.silu(x));
    }
    b.output("sample", b.conv2d(x, "conv_out", 4, 1));
    return b.finish();
}

Config example_config() {
    Store sum{Store::Rule::delta_linear};
    sum.weights = {{2, -1}};
    return {{"block.0", "step == 1 or step == 3"}, {"block.1", "step == 3", {ModuleKind::block}, sum}};
}

class Page {
  public:
    explicit Page(const Plan& plan) : plan_(plan), graph_(plan.extended.graph) {}

    std::string text() {
        schedule();
        nodes();
        liveness();
        segments();
        slots();
        programs();
        return text_;
    }

  private:
    template <class... Args>
    void line(fmt::format_string<Args...> format, Args&&... args) {
        std::string line = "    " + fmt::format(format, std::forward<Args>(args)...);
        line.erase(line.find_last_not_of(' ') + 1);
        text_ += line + "\n";
    }
    void heading(const char* words) { text_ += fmt::format("\n{}\n\n", words); }

    std::size_t num_steps() const { return plan_.analysis.sequence.size(); }
    const Analysis::PerExecution& at(std::size_t step) const { return plan_.analysis.executions[step]; }
    const std::string& module(graph::ModuleId id) const {
        return graph_.modules[static_cast<std::size_t>(id)].name;
    }

    void schedule() {
        heading("`make_schedule`: a dot where the module runs.");
        line("{:<9}{:<17}{}", "module", "store", "step 0  1  2  3");
        for (const auto& rule : plan_.schedule.rules) {
            std::string cells;
            for (const bool reused : rule.reuse[0]) cells += fmt::format("{:<3}", reused ? 'r' : '.');
            line("{:<9}{:<17}     {}", module(rule.module), to_string(rule.store), cells);
        }
    }

    std::string op(graph::NodeId id) const {
        const graph::Node& node = graph_[id];
        switch (plan_.extended.role(id)) {
            case Role::choice:
                return "choice";
            case Role::varying:
            case Role::fixed:
                return node.attrs<graph::InputAttrs>().name;
            default:
                break;
        }
        if (node.op == graph::Op::module_output) return "output";
        if (node.op != graph::Op::binary) return std::string(name_of(node.op));
        const auto function = node.attrs<graph::BinaryAttrs>().function;
        return function == graph::Binary::add        ? "add"
               : function == graph::Binary::subtract ? "subtract"
                                                     : "multiply";
    }

    std::string reads(graph::NodeId id) const {
        std::vector<std::string> result;
        for (const graph::NodeId input : graph_[id].inputs)
            if (plan_.extended.role(input) != Role::weight) result.push_back(fmt::format("{}", input));
        if (const Choice* choice = plan_.extended.choice(id))
            return choice->loaded < 0 ? fmt::format("{}, or a sum of its slots", choice->fresh)
                                      : fmt::format("{}, or {}", choice->fresh, choice->loaded);
        return fmt::format("{}", fmt::join(result, ", "));
    }

    void nodes() {
        constexpr const char* kRoles[] = {"computed", "varying", "fixed", "weight",
                                          "prologue", "choice",  "made"};
        heading("`extend`: the nodes; weights are left out.");
        line("{:<6}{:<13}{:<10}{:<10}{}", "node", "op", "module", "role", "reads");
        for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
            const auto id = static_cast<graph::NodeId>(n);
            if (plan_.extended.role(id) == Role::weight) continue;
            line("{:<6}{:<13}{:<10}{:<10}{}", id, op(id), module(graph_[id].module),
                 kRoles[static_cast<std::size_t>(plan_.extended.role(id))], reads(id));
        }
    }

    bool is_stale(std::size_t step, graph::NodeId id) const {
        for (const auto& read : at(step).stale)
            if (read.node == id) return true;
        return false;
    }

    void liveness() {
        heading(
            "`analyse`: `x` must run; `k` must run, and a later step reads it; `<` is read as it was kept.");
        line("{:<6}{:<13}step 0  1  2  3", "node", "");
        for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
            const auto id = static_cast<graph::NodeId>(n);
            if (plan_.extended.role(id) != Role::computed) continue;
            std::string cells;
            for (std::size_t step = 0; step < num_steps(); ++step)
                cells += fmt::format("{:<3}", at(step).kept[n]     ? 'k'
                                              : at(step).must[n]   ? 'x'
                                              : is_stale(step, id) ? '<'
                                                                   : '.');
            line("{:<6}{:<13}     {}", id, op(id), cells);
        }
    }

    void segments() {
        heading("`partition` and `make_segments`: nodes that run together, and when.");
        line("{:<9}{:<15}{:<12}{:<12}{}", "segment", "nodes", "reads", "gives", "runs at step");
        for (std::size_t s = 0; s < plan_.segments.size(); ++s) {
            const bool prologue = s == plan_.partition.segments.size();
            std::vector<std::size_t> steps;
            for (std::size_t step = 0; step < num_steps(); ++step)
                for (const int run : plan_.partition.runs[0][step])
                    if (run == static_cast<int>(s)) steps.push_back(step);
            const auto& own = prologue ? plan_.partition.prologue : plan_.partition.segments[s];
            line("{:<9}{:<15}{:<12}{:<12}{}", s, list(own), list(plan_.segments[s].inputs),
                 list(plan_.segments[s].outputs),
                 prologue ? "the prologue" : fmt::format("{}", fmt::join(steps, " ")));
        }
    }

    static std::string list(const std::vector<graph::NodeId>& nodes) {
        return fmt::format("{}", fmt::join(nodes, " "));
    }

    void slots() {
        heading("`make_program`: the slots.");
        line("{:<6}{:<10}{}", "slot", "value of", "lives");
        for (std::size_t i = 0; i < plan_.program.slots.size(); ++i) {
            const Slot& slot = plan_.program.slots[i];
            const bool once = static_cast<int>(i) < plan_.program.prologue_slots;
            line("{:<6}{:<10}{}", i, slot.branch < 0 ? "several" : fmt::format("node {}", slot.node),
                 once              ? "for the whole generation"
                 : slot.branch < 0 ? "within a step"
                                   : fmt::format("until it is overwritten (version {})", slot.version));
        }
    }

    std::string place(const Operand& operand) const {
        if (operand.from == Operand::From::slot) return fmt::format("s{}", operand.index);
        return graph_[graph_.inputs[static_cast<std::size_t>(operand.index)]].attrs<graph::InputAttrs>().name;
    }

    void programs() {
        heading("`make_program`: the instructions of each step. `s0` is slot 0.");
        for (std::size_t step = 0; step < num_steps(); ++step) {
            std::vector<std::string> words;
            for (const Instruction& instruction : plan_.program.executions[step]) {
                if (const auto* sum = std::get_if<Combine>(&instruction)) {
                    std::vector<std::string> terms;
                    for (const auto& term : sum->terms)
                        terms.push_back(fmt::format("{} s{}", term.weight, term.slot));
                    words.push_back(fmt::format("s{} = {}", sum->slot, fmt::join(terms, " + ")));
                    continue;
                }
                const auto& run = std::get<RunSegment>(instruction);
                std::vector<std::string> in, out;
                for (const Operand& operand : run.inputs) in.push_back(place(operand));
                for (const int slot : run.outputs) out.push_back(fmt::format("s{}", slot));
                words.push_back(fmt::format("{} = segment {}({})", fmt::join(out, ", "), run.segment,
                                            fmt::join(in, ", ")));
            }
            for (std::size_t i = 0; i < words.size(); ++i)
                line("{:<8}{}", i == 0 ? fmt::format("step {}", step) : "", words[i]);
        }
    }

    const Plan& plan_;
    const graph::Graph& graph_;
    std::string text_;
};

/// What stands in the page between two marks.
std::string from_page() {
    std::ifstream file(REPRISE_SOURCE "/docs/architecture.md");
    std::stringstream page;
    page << file.rdbuf();
    const std::string text = page.str(), begin = "<!-- the planner's example -->\n",
                      end = "<!-- its end -->\n";
    const auto from = text.find(begin), to = text.find(end);
    if (from == text.npos || to == text.npos) return "docs/architecture.md has no example";
    return text.substr(from + begin.size(), to - from - begin.size());
}

TEST(WorkedExample, IsWhatTheArchitecturePageSays) {
    const graph::Graph graph = three_blocks();
    PlanRequest request;
    request.steps_of_evaluations = {0, 1, 2, 3};
    request.pieces.variant_bytes = -1;
    const Plan plan = make_plan(graph, make_schedule(graph, example_config(), 4, 1), request);
    EXPECT_EQ(Page(plan).text(), from_page()) << "put this into docs/architecture.md:\n" << Page(plan).text();
}

}  // namespace
}  // namespace reprise::cachify
