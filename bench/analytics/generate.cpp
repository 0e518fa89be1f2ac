// The data of bench/olap as CSV on standard output: generate TABLE ROWS. Deterministic.
#include <cstdint>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>

namespace {

uint64_t state;

uint64_t next() {  // splitmix64
  uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}
double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
int64_t below(int64_t n) { return static_cast<int64_t>(uniform() * static_cast<double>(n)); }
int64_t between(int64_t a, int64_t b) { return a + below(b - a + 1); }
// Few of the n numbers are frequent.
int64_t skewed(int64_t n) {
  return static_cast<int64_t>(std::pow(static_cast<double>(n), uniform())) - 1;
}
uint64_t scatter(int64_t i) {
  uint64_t z = (static_cast<uint64_t>(i) + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  return (z ^ (z >> 27)) >> 1;
}

// TPC-H's dbgen at scale 1 for 6 million rows; dates in days since 1970.
void lineitem(int64_t rows, bool pg) {
  const int64_t parts = rows / 30 + 1, last_order = 10440 - 151, today = 9298;
  for (int64_t done = 0, order = 1; done < rows; ++order) {
    const int64_t date = between(8035, last_order), lines = between(1, 7);
    for (int64_t line = 1; line <= lines && done < rows; ++line, ++done) {
      const int64_t part = between(1, parts), quantity = between(1, 50);
      const int64_t retail = 90000 + (part / 10) % 20001 + 100 * (part % 1000);
      const int64_t price = quantity * retail, discount = between(0, 10), tax = between(0, 8);
      const int64_t shipped = date + between(1, 121), received = shipped + between(1, 30);
      const int flag = received <= today ? (next() & 1 ? 0 : 1) : 2,
                status = shipped > today ? 0 : 1;
      if (pg) {
        std::printf("%ld,%ld.00,%ld.%02ld,0.%02ld,0.%02ld,%c,%c,", order, quantity, price / 100,
                    price % 100, discount, tax, "RAN"[flag], "OF"[status]);
        // Days to a civil date (Howard Hinnant's algorithm).
        const int64_t z = shipped + 719468, era = z / 146097, doe = z - era * 146097;
        const int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
        const int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
        const int64_t month = mp < 10 ? mp + 3 : mp - 9;
        std::printf("%04ld-%02ld-%02ld\n", yoe + era * 400 + (month <= 2), month,
                    doy - (153 * mp + 2) / 5 + 1);
      } else {
        std::printf("%ld,%ld,%ld.%02ld,0.%02ld,0.%02ld,%d,%d,%ld\n", order, quantity, price / 100,
                    price % 100, discount, tax, flag, status, shipped);
      }
    }
  }
}

void h2o(int64_t rows) {
  const int64_t large = rows / 100 > 0 ? rows / 100 : 1;
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t id1 = between(1, 100), id2 = between(1, 100), id3 = between(1, large),
                  id4 = between(1, 100), id5 = between(1, 100), id6 = between(1, large),
                  v1 = between(1, 5), v2 = between(1, 15);
    std::printf("id%03ld,id%03ld,id%010ld,%ld,%ld,%ld,%ld,%ld,%.6f\n", id1, id2, id3, id4, id5, id6,
                v1, v2, uniform() * 100);
  }
}

const char* const kWords[] = {
    "купить", "weather", "диван",  "карта", "news",    "погода", "cheap flights", "ремонт",
    "кино",   "рецепт",  "музыка", "auto",  "новости", "работа", "playstation",   "москва"};

void hits(int64_t rows) {
  const int64_t users = rows * 11 / 60 + 1, urls = rows * 19 / 60 + 1, phrases = rows / 10 + 1;
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t adv = uniform() < 0.006 ? between(2, 30) : 0;
    static const int kWidths[] = {1024, 1280, 1366, 1368, 1440, 1600, 1638, 1680,
                                  1750, 1828, 1917, 1996, 800,  768,  0};
    const int width = kWidths[skewed(15)];
    const uint64_t user = scatter(uniform() < 0.5 ? skewed(users) : below(users));
    const int64_t engine = uniform() < 0.85 ? 0 : skewed(65), counter = skewed(6000),
                  refresh = uniform() < 0.15;
    const int64_t region = skewed(3000), time = 1373000000 + below(30 * 86400),
                  hidden = uniform() < 0.03;
    const int64_t url = uniform() < 0.6 ? below(urls) : skewed(urls);
    const uint64_t h = scatter(url * 7 + 3);
    std::string text = "http://";
    text += h % 53 == 0   ? "google.com/"
            : h % 17 == 0 ? "example.com/page"
            : h % 2       ? "irr.ru/"
                          : "kinopoisk.net/";
    if (h / 64 % 13 == 0) text += "search?q=";
    if (h / 1024 % 29 == 0) text += "shop/";
    text += std::to_string(url);
    for (uint64_t k = 0, n = h / 4096 % 9; k < n; ++k)
      text += "/section" + std::to_string(h >> (k * 5) & 31);
    std::string phrase;
    if (uniform() < 0.13) {
      const int64_t p = skewed(phrases);
      const uint64_t g = scatter(p * 3 + 1);
      phrase = std::string(kWords[g & 15]) + " " + kWords[g >> 8 & 15] + " " + std::to_string(p);
    }
    std::printf("%ld,%d,%lu,%ld,%ld,%ld,%ld,%ld,%s,%s,%ld\n", adv, width, user, engine, counter,
                refresh, region, time, text.c_str(), phrase.empty() ? "\"\"" : phrase.c_str(),
                hidden);
  }
}

void taxi(int64_t rows) {
  for (int64_t i = 0; i < rows; ++i) {
    const double distance = -std::log(1 - uniform()) * 3,
                 fare = 2.5 + distance * 2.7 + uniform() * 4;
    const double tip = uniform() < 0.4 ? 0 : fare * uniform() * 0.3;
    std::printf("%.2f,%.2f,%.2f,%.2f,", distance, fare, tip, fare + tip + 0.8);
    if (uniform() < 0.05)
      std::printf(",");
    else
      std::printf("%ld,", 1 + skewed(7));
    std::printf("%ld,%ld,%ld,%ld\n", 1 + skewed(5), below(24), between(1, 12), below(7));
  }
}

void fact(int64_t rows) {
  for (int64_t i = 0; i < rows; ++i)
    std::printf("%ld,%.6f\n", between(1, 1000), 1 + 100 * uniform());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::string table = argv[1];
  const int64_t rows = std::atoll(argv[2]);
  for (const char c : table) state = state * 31 + static_cast<unsigned char>(c);
  static char buffer[1 << 20];
  std::setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  if (table == "lineitem")
    lineitem(rows, false);
  else if (table == "lineitem_pg")
    lineitem(rows, true);
  else if (table == "h2o")
    h2o(rows);
  else if (table == "hits")
    hits(rows);
  else if (table == "taxi")
    taxi(rows);
  else if (table == "fact")
    fact(rows);
  else
    return 2;
  return std::fflush(stdout) || std::ferror(stdout);
}
