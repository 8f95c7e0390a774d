#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "backends/footprint.h"

namespace reprise::backends {

/// How a caller waits for what is made. `progress` hears on the caller's thread how many of how many there
/// are.
struct Waiting {
    std::stop_token stop = {};
    std::function<void(std::size_t done, std::size_t all)> progress = {};
};

/// Makes what is compiled, and keeps it for the next call that needs it, within limits. Thread-safe.
///
/// A compilation belongs to the store, not to the caller who asks for it first. All who need it wait for the
/// same one, and each may leave at any time. One that fails is forgotten before they wake.
///
/// What the last call of each owner used stays while free memory allows. Of everything else together, what
/// was used least recently is freed first once it is beyond the limit. What anybody holds is never freed, and
/// is counted.
class Store {
  public:
    struct Limits {
        double bytes = 0;     ///< of what is in no use and was not an owner's last
        double mappings = 0;  ///< of all that is held
    };
    explicit Store(Limits limits) : limits_(limits) {}
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;
    ~Store() { drain(); }

    /// The process's: memory and mappings are the process's too.
    static Store& of_process();

    Limits limits() const;
    void limit(Limits limits);

    /// Free memory of the machine, or as little as the control group allows, after what is in no use was
    /// freed as far as that takes for so many bytes. None where it is not known.
    std::optional<double> available(double wanted);

    struct Held {
        std::size_t count = 0;
        Footprint footprint;
        Footprint in_use;  ///< of these, what anybody holds beside the store
    };
    Held held() const;

    /// Something to be made. `make` runs on a thread of the store's, perhaps after the caller has left: it
    /// owns what it needs.
    template <class T>
    struct Order {
        Footprint footprint;
        std::function<std::shared_ptr<const T>()> make;
        /// As many as are made at the same time in the process, where there are as many cores.
        std::size_t at_once = std::numeric_limits<std::size_t>::max();
    };

    /// What one owner has in a store; dropped with it.
    class Share {
      public:
        explicit Share(Store& store = of_process()) : store_(&store) {}
        Share(Share&& other) noexcept : store_(other.store_), id_(other.id_) { other.id_ = 0; }
        Share& operator=(Share&&) = delete;
        ~Share() { clear(); }

        /// The items of these keys, which name what they are among the owner's, for one call. `order` says,
        /// on the caller's thread, how one that there is not is made; the first in the list is begun first.
        /// Error (failure) when the process would run out of memory mappings, or as a maker throws; Error
        /// (cancelled) after a stop.
        template <class T>
        std::vector<std::shared_ptr<const T>> get(const std::vector<std::string>& keys,
                                                  const std::function<Order<T>(std::size_t)>& order,
                                                  const Waiting& waiting) {
            const auto items = store_->get(
                id_, keys,
                [&](std::size_t i) {
                    Order<T> one = order(i);
                    return Untyped{
                        one.footprint,
                        [make = std::move(one.make)] { return std::static_pointer_cast<const void>(make()); },
                        one.at_once};
                },
                waiting);
            std::vector<std::shared_ptr<const T>> result;
            for (const Item& item : items) result.push_back(std::static_pointer_cast<const T>(item));
            return result;
        }
        template <class T>
        std::shared_ptr<const T> get(const std::string& key, const std::function<Order<T>()>& order,
                                     const Waiting& waiting = {}) {
            return get<T>(
                       std::vector{key}, [&](std::size_t) { return order(); }, waiting)
                .front();
        }
        /// Frees what of these is in no use.
        void drop(const std::vector<std::string>& keys) { store_->drop(id_, &keys, true); }
        /// Frees what is in no use.
        void drop_idle() { store_->drop(id_, nullptr, true); }
        /// The same where more bytes are held than a limit, if there is one.
        void drop_beyond(const std::optional<std::int64_t>& bytes) {
            if (bytes && held().footprint.bytes > static_cast<double>(*bytes)) drop_idle();
        }
        /// Frees everything; what is in use stays until it is not, and is not counted any more.
        void clear() { store_->drop(id_, nullptr, false); }
        Held held() const { return store_->held(id_); }

      private:
        Store* store_;
        std::uint64_t id_ = next_id();
    };

  private:
    using Item = std::shared_ptr<const void>;
    struct Untyped {
        Footprint footprint;
        std::function<Item()> make;
        std::size_t at_once = 1;
    };
    struct Entry {
        std::uint64_t owner = 0;
        std::string key;
        Footprint footprint;
        std::uint64_t call = 0;      ///< of its owner, the last that used it
        std::function<Item()> make;  ///< until it is begun
        std::size_t at_once = 1;
        Item item;                 ///< null until it is made
        std::exception_ptr error;  ///< why it was not
        std::size_t waiting = 0;   ///< callers
        bool is_idle() const { return item && item.use_count() == 1; }
        bool is_over() const { return item || error; }
    };
    using Handle = std::shared_ptr<Entry>;

    static std::uint64_t next_id();
    std::vector<Item> get(std::uint64_t owner, const std::vector<std::string>& keys,
                          const std::function<Untyped(std::size_t)>& order, const Waiting& waiting);
    Handle find(std::uint64_t owner, const std::string& key) const;
    void use(const Handle& entry, std::uint64_t call);
    void make_room(std::uint64_t owner, const Footprint& wanted);
    std::vector<Handle> room_for(std::uint64_t owner, const Footprint& wanted);
    std::vector<Handle> take_idle();
    void wait(const std::vector<Handle>& entries, const Waiting& waiting);
    void leave(const std::vector<Handle>& entries);
    /// Leaves however a call ends.
    struct Leaving {
        Store& store;
        const std::vector<Handle>& entries;
        ~Leaving() { store.leave(entries); }
    };
    void begin_work();
    void work();
    void drain();
    void drop(std::uint64_t owner, const std::vector<std::string>* keys, bool idle_only);
    Held held(std::optional<std::uint64_t> owner) const;
    bool was_last_of_another(const Entry& entry, std::uint64_t owner) const;
    Footprint total() const;

    Limits limits_;
    mutable std::mutex mutex_;                      ///< never held while something is made
    std::list<Handle> entries_;                     ///< the one used last at the end
    std::map<std::uint64_t, std::uint64_t> calls_;  ///< [owner]: the number of its last call
    std::deque<Handle> queue_;                      ///< to be made
    int workers_ = 0;
    std::condition_variable_any changed_;
};

}  // namespace reprise::backends
