#include "cachify/partition.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "reprise/error.h"

namespace reprise::cachify {

using graph::Graph;
using graph::NodeId;

namespace {

/// Executions that ask the same of every node are one column.
struct Column {
    const Analysis::PerExecution* execution = nullptr;
    std::vector<bool> stale;  ///< by node: read from before
    double count = 0;
};

/// Nodes that run together; becomes a segment.
struct Group {
    std::vector<NodeId> nodes;
    std::vector<bool> runs;  ///< by column
    std::vector<bool> may;   ///< by column
    double flops = 0;
    std::set<int> before;       ///< groups whose values it reads
    std::set<int> after;        ///< groups that read its values
    std::set<NodeId> external;  ///< what it reads from elsewhere
    int level = 0;
    bool gone = false;
};

class Partitioner {
  public:
    Partitioner(const Extended& extended, std::span<const Analysis> analyses,
                const backends::PieceTraits& traits)
        : extended_(extended), graph_(extended.graph), analyses_(analyses), traits_(traits) {}

    Partition run() {
        for (const Choice& choice : extended_.choices)
            if (choice.loaded >= 0) loaded_by_[choice.loaded] = &choice;
        collect_columns();
        find_probe();
        for (std::size_t n = 0; n < graph_.nodes.size(); ++n)
            for (const Analysis& analysis : analyses_)
                if (analysis.prologue[n]) {
                    result_.prologue.push_back(static_cast<NodeId>(n));
                    break;
                }
        if (variants_fit()) {
            cut_into_variants();
        } else {
            form_groups();
            merge_groups();
            emit_segments();
        }
        return std::move(result_);
    }

  private:
    void collect_columns() {
        for (const Analysis& analysis : analyses_) {
            auto& columns = column_of_.emplace_back();
            for (const auto& execution : analysis.executions) {
                std::vector<bool> stale(graph_.nodes.size(), false);
                for (const auto& read : execution.stale) stale[static_cast<std::size_t>(read.node)] = true;
                const auto same = std::find_if(columns_.begin(), columns_.end(), [&](const Column& column) {
                    return column.execution->must == execution.must &&
                           column.execution->module_runs == execution.module_runs && column.stale == stale;
                });
                columns.push_back(static_cast<int>(same - columns_.begin()));
                if (same == columns_.end())
                    columns_.push_back({&execution, std::move(stale), 1});
                else
                    same->count += 1;
            }
        }
    }

    // ---- whole executions ----

    void find_probe() {
        for (const Analysis& analysis : analyses_)
            if (probe_ == nullptr && analysis.sequence.front().mode == Execution::kProbe)
                probe_ = &analysis.executions.front().must;
    }

    static bool includes(const std::vector<bool>& all, const std::vector<bool>& some) {
        for (std::size_t n = 0; n < some.size(); ++n)
            if (some[n] && !all[n]) return false;
        return true;
    }

    bool variants_fit() const {
        std::set<std::vector<bool>> distinct;
        for (const Analysis& analysis : analyses_)
            for (std::size_t x = 0; x < analysis.executions.size(); ++x) {
                const auto& must = analysis.executions[x].must;
                // Probes must be the same everywhere, to be one segment, which every execution can run.
                if (analysis.sequence[x].mode == Execution::kProbe) {
                    if (must != *probe_) return false;
                } else {
                    if (probe_ != nullptr && !includes(must, *probe_)) return false;
                    distinct.insert(must);
                }
            }
        if (distinct.size() + (probe_ != nullptr ? 1 : 0) > traits_.max_variants) return false;
        if (traits_.shares_weights) return true;
        double bytes = 0;
        for (const auto& must : distinct)
            for (std::size_t n = 0; n < must.size(); ++n)
                if (must[n]) bytes += cost_of(graph_, graph_.nodes[n]).weight_bytes;
        return bytes <= traits_.variant_bytes;
    }

    void cut_into_variants() {
        result_.variants = true;
        std::map<std::vector<bool>, int> known;
        if (probe_ != nullptr) {
            result_.probe = 0;
            auto& nodes = result_.segments.emplace_back();
            for (std::size_t n = 0; n < probe_->size(); ++n)
                if ((*probe_)[n]) nodes.push_back(static_cast<NodeId>(n));
        }
        for (const Analysis& analysis : analyses_) {
            auto& runs = result_.runs.emplace_back();
            for (std::size_t x = 0; x < analysis.executions.size(); ++x) {
                auto& list = runs.emplace_back();
                if (probe_ != nullptr) list.push_back(result_.probe);
                if (analysis.sequence[x].mode == Execution::kProbe) continue;
                const auto& must = analysis.executions[x].must;
                const auto [entry, is_new] = known.emplace(must, static_cast<int>(result_.segments.size()));
                if (is_new) {
                    auto& nodes = result_.segments.emplace_back();
                    for (std::size_t n = 0; n < must.size(); ++n)
                        if (must[n] && !(probe_ != nullptr && (*probe_)[n]))
                            nodes.push_back(static_cast<NodeId>(n));
                }
                list.push_back(entry->second);
            }
        }
    }

    // ---- segments ----

    /// The computed nodes that a node reads, through choices.
    template <class F>
    void for_each_source(NodeId id, F&& visit) const {
        for (const NodeId input : graph_[id].inputs) {
            if (const Choice* choice = extended_.choice(input)) {
                visit_makers(choice->fresh, visit);
                if (choice->loaded >= 0) visit(choice->loaded);
            } else {
                visit_makers(input, visit);
            }
        }
    }
    template <class F>
    void visit_makers(NodeId id, F&& visit) const {
        if (const Makers* makers = extended_.made(id)) {
            for (const NodeId maker : makers->nodes) visit(maker);
        } else if (extended_.role(id) == Role::computed) {
            visit(id);
        }
    }

    bool ever_runs(NodeId id) const {
        return std::any_of(columns_.begin(), columns_.end(), [&](const Column& column) {
            return column.execution->must[static_cast<std::size_t>(id)];
        });
    }

    /// Nodes of equal signature, split so that no cycle goes through another signature.
    void form_groups() {
        const std::size_t count = graph_.nodes.size();
        std::map<std::vector<bool>, int> signatures;
        std::vector<int> signature(count, -1);
        std::vector<int> level(count, 0);
        std::vector<std::vector<NodeId>> readers(count);
        for (std::size_t n = 0; n < count; ++n) {
            const auto id = static_cast<NodeId>(n);
            if (extended_.role(id) != Role::computed || !ever_runs(id)) continue;
            std::vector<bool> bits;
            for (const Column& column : columns_) bits.push_back(column.execution->must[n]);
            signature[n] =
                signatures.emplace(std::move(bits), static_cast<int>(signatures.size())).first->second;
            for_each_source(id, [&](NodeId source) {
                const auto s = static_cast<std::size_t>(source);
                if (signature[s] < 0) return;
                readers[s].push_back(id);
                level[n] = std::max(level[n], signature[s] == signature[n] ? level[s] : level[s] + 1);
            });
        }
        for (std::size_t n = count; n-- > 0;) {  // a node whose readers all stand together goes to them
            if (signature[n] < 0 || readers[n].empty()) continue;
            const auto first = static_cast<std::size_t>(readers[n].front());
            const bool together = std::all_of(readers[n].begin(), readers[n].end(), [&](NodeId reader) {
                const auto r = static_cast<std::size_t>(reader);
                return signature[r] == signature[n] && level[r] == level[first];
            });
            if (together) level[n] = level[first];
        }

        std::map<std::pair<int, int>, int> ids;
        group_of_.assign(count, -1);
        for (std::size_t n = 0; n < count; ++n) {
            if (signature[n] < 0) continue;
            const auto [entry, is_new] =
                ids.emplace(std::pair(level[n], signature[n]), static_cast<int>(groups_.size()));
            if (is_new) {
                Group& group = groups_.emplace_back();
                group.level = level[n];
                group.may.assign(columns_.size(), true);
                for (const Column& column : columns_) group.runs.push_back(column.execution->must[n]);
            }
            Group& group = groups_[static_cast<std::size_t>(entry->second)];
            group.nodes.push_back(static_cast<NodeId>(n));
            group.flops += cost_of(graph_, graph_.nodes[n]).flops;
            group_of_[n] = entry->second;
            for (std::size_t c = 0; c < columns_.size(); ++c)
                group.may[c] = group.may[c] && may_run(static_cast<NodeId>(n), c);
        }
        for (std::size_t n = 0; n < count; ++n) {
            const int own = group_of_[n];
            if (own < 0) continue;
            const auto id = static_cast<NodeId>(n);
            for_each_source(id, [&](NodeId source) {
                const int other = group_of_[static_cast<std::size_t>(source)];
                if (other >= 0 && other != own) link(other, own);
            });
            for (const NodeId input : graph_[id].inputs) {
                const bool inside = group_of_[static_cast<std::size_t>(input)] == own;
                const Role role = extended_.role(input);
                if (!inside && (role == Role::computed || role == Role::choice || role == Role::made))
                    groups_[static_cast<std::size_t>(own)].external.insert(input);
            }
        }
    }

    /// A node may run where its modules do; what loads a difference, only where its module is reused.
    bool may_run(NodeId id, std::size_t column) const {
        const auto& runs = columns_[column].execution->module_runs;
        if (!runs[static_cast<std::size_t>(graph_[id].module)]) return false;
        const auto loads = loaded_by_.find(id);
        return loads == loaded_by_.end() || !runs[static_cast<std::size_t>(loads->second->module)];
    }

    void link(int from, int to) {
        groups_[static_cast<std::size_t>(from)].after.insert(to);
        groups_[static_cast<std::size_t>(to)].before.insert(from);
    }

    /// Whether a value that `reader` needs is there at that column once groups a and b run as one.
    bool available(NodeId id, std::size_t column, int a, int b) const {
        const NodeId source = extended_.resolved(id, columns_[column].execution->module_runs);
        if (source != id) return available(source, column, a, b);
        const Choice* choice = extended_.choice(id);
        const NodeId kept = choice != nullptr ? choice->fresh : id;
        if (columns_[column].stale[static_cast<std::size_t>(kept)]) return true;
        const int group = group_of_[static_cast<std::size_t>(id)];
        if (group < 0) return false;
        if (group == a || group == b) return true;
        return groups_[static_cast<std::size_t>(group)].runs[column];
    }

    bool can_run_at(const Group& group, std::size_t column, int a, int b) const {
        if (!group.may[column]) return false;
        return std::all_of(group.external.begin(), group.external.end(),
                           [&](NodeId id) { return available(id, column, a, b); });
    }

    /// What merging saves, in FLOPs; nothing when it is not legal.
    std::optional<double> saving(int a, int b) const {
        const Group& first = groups_[static_cast<std::size_t>(a)];
        const Group& second = groups_[static_cast<std::size_t>(b)];
        double saved = 0;
        for (std::size_t c = 0; c < columns_.size(); ++c) {
            if (!first.runs[c] && !second.runs[c]) continue;
            if (first.runs[c] && second.runs[c]) {
                saved += columns_[c].count * traits_.launch_flops;
                continue;
            }
            const Group& extra = first.runs[c] ? second : first;
            if (!can_run_at(extra, c, a, b)) return std::nullopt;
            saved -= columns_[c].count * extra.flops;
        }
        return saved;
    }

    /// Whether one group reaches the other through a third.
    bool would_cycle(int a, int b) const { return reaches_around(a, b) || reaches_around(b, a); }
    bool reaches_around(int from, int to) const {
        std::vector<int> open;
        std::set<int> seen;
        for (const int next : groups_[static_cast<std::size_t>(from)].after)
            if (next != to && seen.insert(next).second) open.push_back(next);
        while (!open.empty()) {
            const int group = open.back();
            open.pop_back();
            for (const int next : groups_[static_cast<std::size_t>(group)].after) {
                if (next == to) return true;
                if (seen.insert(next).second) open.push_back(next);
            }
        }
        return false;
    }

    void merge_groups() {
        std::size_t alive = groups_.size();
        // With very many groups only neighbours are looked at: all pairs would take too long.
        const bool all_pairs = alive <= 96;
        while (alive > 1) {
            double best = -1;
            bool found = false;
            int best_a = 0;
            int best_b = 0;
            const bool must_shrink = alive > static_cast<std::size_t>(traits_.max_segments);
            const auto consider = [&](int a, int b) {
                const auto gain = saving(a, b);
                if (!gain || (!must_shrink && *gain < 0) || (found && *gain <= best) || would_cycle(a, b))
                    return;
                found = true;
                best = *gain;
                best_a = a;
                best_b = b;
            };
            for (int a = 0; a < static_cast<int>(groups_.size()); ++a) {
                if (groups_[static_cast<std::size_t>(a)].gone) continue;
                if (!all_pairs) {
                    for (const int b : groups_[static_cast<std::size_t>(a)].after) consider(a, b);
                    continue;
                }
                for (int b = a + 1; b < static_cast<int>(groups_.size()); ++b)
                    if (!groups_[static_cast<std::size_t>(b)].gone) consider(a, b);
            }
            if (!found) return;
            merge(best_a, best_b);
            --alive;
        }
    }

    void merge(int a, int b) {
        Group& into = groups_[static_cast<std::size_t>(a)];
        Group& from = groups_[static_cast<std::size_t>(b)];
        for (std::size_t c = 0; c < columns_.size(); ++c) {
            into.runs[c] = into.runs[c] || from.runs[c];
            into.may[c] = into.may[c] && from.may[c];
        }
        into.flops += from.flops;
        for (const NodeId id : from.nodes) group_of_[static_cast<std::size_t>(id)] = a;
        into.nodes.insert(into.nodes.end(), from.nodes.begin(), from.nodes.end());
        into.external.insert(from.external.begin(), from.external.end());
        std::erase_if(into.external, [&](NodeId id) { return group_of_[static_cast<std::size_t>(id)] == a; });
        for (const int other : std::set<int>(from.before)) {
            groups_[static_cast<std::size_t>(other)].after.erase(b);
            if (other != a) link(other, a);
        }
        for (const int other : std::set<int>(from.after)) {
            groups_[static_cast<std::size_t>(other)].before.erase(b);
            if (other != a) link(a, other);
        }
        into.before.erase(b);
        into.after.erase(b);
        from = {};
        from.gone = true;
    }

    void emit_segments() {
        std::vector<int> order;
        std::vector<bool> placed(groups_.size(), false);
        std::size_t alive = 0;
        for (const Group& group : groups_) alive += group.gone ? 0 : 1;
        while (order.size() < alive) {
            const std::size_t before = order.size();
            for (std::size_t g = 0; g < groups_.size(); ++g) {
                if (placed[g] || groups_[g].gone) continue;
                const auto& needs = groups_[g].before;
                if (!std::all_of(needs.begin(), needs.end(),
                                 [&](int n) { return placed[static_cast<std::size_t>(n)]; }))
                    continue;
                placed[g] = true;
                order.push_back(static_cast<int>(g));
            }
            if (order.size() == before) failure("planner: the segments of {} form a cycle", graph_.name);
        }
        std::vector<std::vector<int>> pieces;  // of each group, as segments
        for (const int g : order) {
            auto& nodes = groups_[static_cast<std::size_t>(g)].nodes;
            std::sort(nodes.begin(), nodes.end());
            auto& own = pieces.emplace_back();
            for (auto& piece : divided(std::move(nodes))) {
                own.push_back(static_cast<int>(result_.segments.size()));
                result_.segments.push_back(std::move(piece));
            }
        }
        for (const auto& columns : column_of_) {
            auto& runs = result_.runs.emplace_back();
            for (const int column : columns) {
                auto& list = runs.emplace_back();
                for (std::size_t i = 0; i < order.size(); ++i)
                    if (groups_[static_cast<std::size_t>(order[i])].runs[static_cast<std::size_t>(column)])
                        list.insert(list.end(), pieces[i].begin(), pieces[i].end());
            }
        }
    }

    /// The nodes of a group in pieces of about equal weights, cut where the fewest bytes are alive.
    std::vector<std::vector<NodeId>> divided(std::vector<NodeId> nodes) const {
        constexpr double kSlack = 0.15;     // of a piece, to either side of an equal share
        std::vector<double> weights = {0};  // before each node
        for (const NodeId id : nodes)
            weights.push_back(weights.back() +
                              cost_of(graph_, graph_.nodes[static_cast<std::size_t>(id)]).weight_bytes);
        const double count = std::ceil(weights.back() / traits_.piece_bytes);
        if (count <= 1) return {std::move(nodes)};

        std::map<NodeId, std::size_t> last_reader;
        for (std::size_t i = 0; i < nodes.size(); ++i)
            for_each_source(nodes[i], [&](NodeId source) { last_reader[source] = i; });
        std::vector<double> alive(nodes.size() + 1, 0);  // before each node
        for (std::size_t i = 0; i < nodes.size(); ++i) {
            const auto last = last_reader.find(nodes[i]);
            if (last == last_reader.end()) continue;
            const auto& node = graph_[nodes[i]];
            const double bytes =
                static_cast<double>(element_count(node.shape)) * static_cast<double>(size_of(node.type));
            for (std::size_t before = i + 1; before <= last->second; ++before) alive[before] += bytes;
        }

        std::vector<std::vector<NodeId>> pieces;
        std::size_t begin = 0;
        for (double k = 1; k < count; ++k) {
            const double share = weights.back() / count;
            std::optional<std::size_t> best;
            for (std::size_t i = begin + 1; i < nodes.size(); ++i)
                if (std::abs(weights[i] - k * share) <= kSlack * share && (!best || alive[i] < alive[*best]))
                    best = i;
            if (!best) continue;  // one node holds it all
            pieces.emplace_back(nodes.begin() + static_cast<std::ptrdiff_t>(begin),
                                nodes.begin() + static_cast<std::ptrdiff_t>(*best));
            begin = *best;
        }
        pieces.emplace_back(nodes.begin() + static_cast<std::ptrdiff_t>(begin), nodes.end());
        return pieces;
    }

    const Extended& extended_;
    const Graph& graph_;
    std::span<const Analysis> analyses_;
    const backends::PieceTraits& traits_;
    Partition result_;
    std::vector<Column> columns_;
    std::vector<std::vector<int>> column_of_;  ///< [analysis][execution]
    /// By node: whether what a decision looks at is computed from it; null without one.
    const std::vector<bool>* probe_ = nullptr;
    std::map<NodeId, const Choice*> loaded_by_;
    std::vector<Group> groups_;
    std::vector<int> group_of_;
};

}  // namespace

Partition partition(const Extended& extended, std::span<const Analysis> analyses,
                    const backends::PieceTraits& traits) {
    return Partitioner(extended, analyses, traits).run();
}

}  // namespace reprise::cachify
