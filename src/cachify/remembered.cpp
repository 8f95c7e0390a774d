#include "cachify/remembered.h"

#include <map>
#include <memory>
#include <string>
#include <utility>

namespace reprise::cachify {

Config remembered(Config config) {
    for (Entry& entry : config) {
        ModuleFilter& filter = entry.wildcard_or_filter_func;
        filter.function_ =
            [ask = std::move(filter.function_),
             known = std::make_shared<std::map<std::string, bool, std::less<>>>()](std::string_view name) {
                if (const auto answer = known->find(name); answer != known->end()) return answer->second;
                return known->emplace(name, ask(name)).first->second;
            };
        StepFunction& steps = entry.select_cache_step_func;
        steps.function_ = [ask = std::move(steps.function_),
                           known = std::make_shared<std::map<std::pair<int, int>, bool>>()](int step,
                                                                                            int num_steps) {
            const std::pair key(step, num_steps);
            if (const auto answer = known->find(key); answer != known->end()) return answer->second;
            return known->emplace(key, ask(step, num_steps)).first->second;
        };
    }
    return config;
}

}  // namespace reprise::cachify
