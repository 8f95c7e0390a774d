#include "cachify/segment.h"

#include <algorithm>
#include <set>

#include "graph/content.h"
#include "reprise/error.h"

namespace reprise::cachify {

using graph::Graph;
using graph::Node;
using graph::NodeId;

namespace {

/// Copies chosen nodes into a graph of their own, with what they read from outside as inputs.
class Extractor {
  public:
    Extractor(const Extended& extended, const std::vector<NodeId>& nodes)
        : extended_(extended),
          renamed_(extended.graph.nodes.size(), -1),
          inside_(extended.graph.nodes.size(), false) {
        for (const NodeId id : nodes) inside_[static_cast<std::size_t>(id)] = true;
        result_.graph.name = extended.graph.name;
        result_.graph.modules = extended.graph.modules;
        for (auto& module : result_.graph.modules) {
            module.inputs.clear();
            module.outputs.clear();
        }
        for (const NodeId id : nodes) copy(id);
    }

    bool contains(NodeId id) const { return inside_[static_cast<std::size_t>(id)]; }

    void add_output(NodeId id) {
        result_.outputs.push_back(id);
        result_.graph.outputs.push_back({fmt::format("{}", id), renamed_[static_cast<std::size_t>(id)]});
    }

    Segment take() {
        result_.cost = cost_of(result_.graph);
        result_.content = content_of(result_.graph);
        return std::move(result_);
    }

  private:
    NodeId append(Node node) {
        result_.graph.nodes.push_back(std::move(node));
        return static_cast<NodeId>(result_.graph.nodes.size() - 1);
    }

    /// What stands for a node of the extended graph: a choice made inside is its source.
    NodeId resolved(NodeId id) const {
        if (const Choice* choice = extended_.choice(id)) {
            if (const NodeId fresh = resolved(choice->fresh); contains(fresh)) return fresh;
            return choice->loaded >= 0 && contains(choice->loaded) ? choice->loaded : id;
        }
        if (const Makers* makers = extended_.made(id))
            for (const NodeId maker : makers->nodes)
                if (contains(maker)) return maker;
        return id;
    }

    NodeId copy(NodeId original) {
        const NodeId id = resolved(original);
        NodeId& known = renamed_[static_cast<std::size_t>(id)];
        if (known >= 0) return known;
        const bool outside = !contains(id) && extended_.role(id) != Role::weight;
        Node node = extended_.graph[id];
        if (outside) {
            node.attributes = graph::InputAttrs{fmt::format("{}", id), node.type, node.shape};
            node.op = graph::Op::input;
            node.inputs.clear();
            known = append(std::move(node));
            result_.graph.inputs.push_back(known);
            result_.inputs.push_back(id);
            return known;
        }
        for (NodeId& input : node.inputs) input = copy(input);
        return known = append(std::move(node));
    }

    const Extended& extended_;
    std::vector<NodeId> renamed_;
    std::vector<bool> inside_;
    Segment result_;
};

}  // namespace

std::vector<Segment> make_segments(const Extended& extended, const Partition& partition,
                                   std::span<const Analysis> analyses) {
    const Graph& graph = extended.graph;
    auto readers = consumers(graph);
    std::set<NodeId> final_values;
    for (const auto& output : graph.outputs) final_values.insert(output.node);
    const auto is_final = [&](NodeId id) { return final_values.contains(id); };
    // By node, the placeholders through which it is read.
    std::vector<std::vector<NodeId>> choices_of(graph.nodes.size());
    for (const Makers& makers : extended.makers)
        for (const NodeId maker : makers.nodes)
            choices_of[static_cast<std::size_t>(maker)].push_back(makers.node);
    for (const Choice& choice : extended.choices) {
        if (const Makers* makers = extended.made(choice.fresh))
            for (const NodeId maker : makers->nodes)
                choices_of[static_cast<std::size_t>(maker)].push_back(choice.node);
        else
            choices_of[static_cast<std::size_t>(choice.fresh)].push_back(choice.node);
        if (choice.loaded >= 0) choices_of[static_cast<std::size_t>(choice.loaded)].push_back(choice.node);
    }

    // Which nodes are kept by some execution that runs the segment.
    std::vector<std::set<NodeId>> kept(partition.segments.size());
    std::set<NodeId> run_somewhere;
    for (const auto& nodes : partition.segments) run_somewhere.insert(nodes.begin(), nodes.end());
    for (std::size_t a = 0; a < analyses.size(); ++a)
        for (std::size_t x = 0; x < analyses[a].executions.size(); ++x)
            for (const int s : partition.runs[a][x])
                for (const NodeId id : partition.segments[static_cast<std::size_t>(s)])
                    if (analyses[a].executions[x].kept[static_cast<std::size_t>(extended.value(id))])
                        kept[static_cast<std::size_t>(s)].insert(id);

    std::vector<Segment> segments;
    for (std::size_t s = 0; s < partition.segments.size(); ++s) {
        Extractor extractor(extended, partition.segments[s]);
        const auto read_outside = [&](NodeId id) {
            // In whole executions everything that reads it stands inside.
            if (partition.variants && static_cast<int>(s) != partition.probe) return false;
            const auto outside = [&](NodeId reader) {
                return run_somewhere.contains(reader) && !extractor.contains(reader);
            };
            const auto& direct = readers[static_cast<std::size_t>(id)];
            if (std::any_of(direct.begin(), direct.end(), outside)) return true;
            const auto& choices = choices_of[static_cast<std::size_t>(id)];
            return std::any_of(choices.begin(), choices.end(), [&](NodeId choice) {
                const auto& through = readers[static_cast<std::size_t>(choice)];
                return is_final(choice) || std::any_of(through.begin(), through.end(), outside);
            });
        };
        for (const NodeId id : partition.segments[s]) {
            bool final = is_final(id);
            for (const NodeId choice : choices_of[static_cast<std::size_t>(id)])
                final = final || is_final(choice);
            if (final || kept[s].contains(id) || read_outside(id)) extractor.add_output(id);
        }
        segments.push_back(extractor.take());
    }

    if (!partition.prologue.empty()) {
        Extractor extractor(extended, partition.prologue);
        for (const NodeId id : partition.prologue) {
            const auto& direct = readers[static_cast<std::size_t>(id)];
            if (is_final(id) || std::any_of(direct.begin(), direct.end(),
                                            [&](NodeId reader) { return run_somewhere.contains(reader); }))
                extractor.add_output(id);
        }
        segments.push_back(extractor.take());
    }
    return segments;
}

}  // namespace reprise::cachify
