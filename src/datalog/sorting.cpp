#include "datalog/sorting.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

namespace datahike::datalog {

namespace {

struct Window {
  size_t from, count;  // count: at most
};
Window window_of(const Query& query) {
  size_t count = query.limit.value_or(std::numeric_limits<uint64_t>::max());
  if (query.shape == Query::Tuple || query.shape == Query::Scalar)
    count = std::min<size_t>(count, 1);
  return {query.offset, count};
}

int compare(const Query& query, const Columns& a, size_t a_row, const Columns& b, size_t b_row) {
  for (const OrderBy& o : query.order_by)
    if (int c = a[o.element][a_row].compare(b[o.element][b_row])) return o.descending ? -c : c;
  return 0;
}

std::vector<uint32_t> sorted(const Query& query, const Relation& rows) {
  std::vector<uint32_t> order(rows.rows);
  std::iota(order.begin(), order.end(), 0);
  size_t compared = 0;
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    rows.budget().poll_row(++compared);
    return compare(query, rows.columns, a, rows.columns, b) < 0;
  });
  return order;
}

using Runs = std::vector<std::unique_ptr<RowFile>>;

// The least of several runs, row by row.
class Merge {
 public:
  Merge(const Query& query, Budget& budget) : query_(query), budget_(budget) {}
  bool has_room() const { return budget_.has_room(budget_.limit() / 4); }
  void add(std::unique_ptr<RowFile> run) {
    Input in{std::move(run), 0, Relation(budget_), 0};
    if (!load(in)) return;
    inputs_.push_back(std::move(in));
  }
  size_t inputs() const { return inputs_.size(); }
  void run(RowFile& out, size_t most) {
    std::vector<size_t> heap(inputs_.size());
    std::iota(heap.begin(), heap.end(), 0);
    const auto later = [&](size_t a, size_t b) {
      return compare(query_, inputs_[b].block.columns, inputs_[b].row, inputs_[a].block.columns,
                     inputs_[a].row) < 0;
    };
    std::make_heap(heap.begin(), heap.end(), later);
    while (!heap.empty() && out.rows() < most) {
      budget_.poll_row(out.rows());
      std::pop_heap(heap.begin(), heap.end(), later);
      Input& in = inputs_[heap.back()];
      out.append_row(in.block.columns, in.row);
      if (++in.row < in.block.rows || load(in))
        std::push_heap(heap.begin(), heap.end(), later);
      else
        heap.pop_back();
    }
    out.flush();
  }

 private:
  struct Input {
    std::unique_ptr<RowFile> file;
    size_t next_block;
    Relation block;
    size_t row;
  };
  bool load(Input& in) {
    if (in.next_block == in.file->blocks()) return false;
    in.block = Relation(budget_);
    Columns columns = in.file->read_number(in.next_block++);
    in.block.rows = columns[0].size();
    for (size_t i = 0; i < columns.size(); ++i)
      in.block.add_column(static_cast<Var>(i), std::move(columns[i]));
    in.row = 0;
    return true;
  }
  const Query& query_;
  Budget& budget_;
  std::vector<Input> inputs_;
};

Runs make_runs(const Query& query, Budget& budget, FileMaker& files, RowFile& rows, size_t most) {
  Runs runs;
  Relation chunk(budget);
  const std::shared_ptr<TemporaryFile> file = files.make_file();
  const auto write = [&] {
    if (chunk.rows == 0) return;
    auto run = make_row_file(budget, file, rows.columns());
    {
      const Charge memory(budget, chunk.rows * 2 * sizeof(uint32_t));
      for (uint32_t row : sorted(query, chunk)) {
        if (run->rows() == most) break;
        budget.poll_row(run->rows());
        run->append_row(chunk.columns, row);
      }
    }
    run->flush();
    runs.push_back(std::move(run));
    chunk = Relation(budget);
  };
  for (size_t number = 0; number < rows.blocks(); ++number) {
    budget.poll();
    // Columns double as they grow.
    size_t bytes = budget.limit() / 4;
    for (const Column& c : chunk.columns) bytes += c.bytes();
    if (!budget.has_room(bytes)) write();
    Columns columns = rows.read_number(number);
    if (chunk.vars.empty())
      for (size_t i = 0; i < columns.size(); ++i) chunk.add_column(static_cast<Var>(i), {});
    chunk.rows += columns[0].size();
    for (size_t i = 0; i < columns.size(); ++i) chunk.columns[i].append(std::move(columns[i]));
    chunk.charge();
  }
  write();
  return runs;
}

}  // namespace

std::unique_ptr<RowFile> make_row_file(Budget& budget, std::shared_ptr<TemporaryFile> file,
                                       size_t columns) {
  return std::make_unique<RowFile>(std::move(file), columns,
                                   rows_of_block(budget.limit() / 32, columns), true);
}

void sort_rows(const Query& query, Relation& rows) {
  const Window window = window_of(query);
  const size_t from = std::min(window.from, rows.rows);
  const size_t count = std::min(window.count, rows.rows - from);
  if (query.order_by.empty() && from == 0 && count == rows.rows) return;
  const Charge memory(rows.budget(), rows.rows * 2 * sizeof(uint32_t));
  std::vector<uint32_t> order;
  if (query.order_by.empty()) {
    order.resize(count);
    std::iota(order.begin(), order.end(), static_cast<uint32_t>(from));
  } else {
    order = sorted(query, rows);
    order.erase(order.begin(), order.begin() + static_cast<ptrdiff_t>(from));
    order.resize(count);
  }
  Relation result = rows.gather(order);
  rows = std::move(result);
}

std::unique_ptr<RowFile> sort_file(const Query& query, Budget& budget, FileMaker& files,
                                   std::unique_ptr<RowFile> rows) {
  const Window window = window_of(query);
  if (query.order_by.empty() && window.from == 0 && window.count >= rows->rows()) return rows;
  const size_t most = window.from + std::min(window.count, SIZE_MAX - window.from);
  if (!query.order_by.empty()) {
    Runs runs = make_runs(query, budget, files, *rows, most);
    rows.reset();
    while (runs.size() > 1) {
      Runs left;
      const std::shared_ptr<TemporaryFile> file = files.make_file();
      size_t next = 0;
      while (next < runs.size()) {
        if (next + 1 == runs.size()) {
          left.push_back(std::move(runs[next++]));
          break;
        }
        Merge merge(query, budget);
        auto out = make_row_file(budget, file, query.find.size());
        while (next < runs.size() && (merge.inputs() < 2 || merge.has_room()))
          merge.add(std::move(runs[next++]));
        merge.run(*out, most);
        left.push_back(std::move(out));
      }
      runs = std::move(left);
    }
    if (runs.empty()) return make_row_file(budget, files.make_file(), query.find.size());
    rows = std::move(runs[0]);
    if (window.from == 0 && window.count >= rows->rows()) return rows;
  }
  auto out = make_row_file(budget, files.make_file(), rows->columns());
  size_t row = 0;
  for (size_t number = 0; number < rows->blocks() && row < most; ++number) {
    budget.poll();
    const Columns columns = rows->read_number(number);
    const size_t end = row + columns[0].size();
    if (end > window.from)
      out->append(columns, row < window.from ? window.from - row : 0,
                  std::min(columns[0].size(), most - row));
    row = end;
  }
  out->flush();
  return out;
}

}  // namespace datahike::datalog
