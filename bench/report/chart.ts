/** Throughput as a chart: how many times the speed of `node:net` by hand. */
import * as charts from "echarts/charts"
import * as components from "echarts/components"
import * as echarts from "echarts/core"
import * as renderers from "echarts/renderers"
import { baseline, loadedBaseline, subject, subjectInto } from "../contenders.ts"
import type { Report } from "../result.ts"

echarts.use([
  charts.BarChart,
  components.GridComponent,
  components.LegendComponent,
  components.MarkLineComponent,
  components.TitleComponent,
  renderers.SVGRenderer
])

const colours = ["#2f6fde", "#16a3b8", "#9aa5b1", "#e0a33a", "#58a55c", "#b07cc6"]

export const draw = (report: Report): string => {
  const results = report.results.filter(({ id }) => /^(exchange|pipeline|bulk|connect)/.test(id))
  const series = new Map<string, string>()
  for (const { entries } of results) for (const { id, title } of entries) series.set(id, title)
  series.delete(baseline)
  series.delete(loadedBaseline)
  const bar = 7
  const height = 110 + results.length * (series.size * bar + 10)
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: 900, height })
  chart.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    color: colours,
    title: { text: "Speed, as a multiple of node:net by hand", left: 12, top: 10, textStyle: { fontSize: 16 } },
    legend: { top: 42, left: 12, itemWidth: 14, itemGap: 36 },
    // room for the longest title in whatever font a reader has
    grid: { left: 310, right: 40, top: 96, bottom: 14, outerBoundsMode: "none" },
    xAxis: {
      type: "value",
      min: 0,
      interval: 0.25,
      position: "top",
      axisLabel: { formatter: (value: number) => `${value}×` }
    },
    yAxis: {
      type: "category",
      inverse: true,
      data: results.map(({ title }) => title),
      axisTick: { show: false },
      axisLabel: { fontSize: 12 }
    },
    series: Array.from(series, ([id, name]) => ({
      type: "bar",
      name,
      barWidth: bar,
      barGap: "0%",
      data: results.map(({ entries }) => {
        const entry = entries.find((one) => one.id === id)
        return entry === undefined ? null : Number(entry.ratio.toFixed(3))
      }),
      label: {
        show: id === subject || id === subjectInto,
        position: "right",
        fontSize: 10,
        textBorderColor: "#ffffff",
        textBorderWidth: 2,
        formatter: ({ value }: { value: number }) => value.toFixed(2)
      },
      markLine: {
        symbol: "none",
        label: { show: false },
        lineStyle: { color: "#333333", type: "solid", width: 1 },
        data: id === subject ? [{ xAxis: 1 }] : []
      }
    }))
  } as echarts.EChartsCoreOption)
  const svg = chart.renderToSVGString()
  chart.dispose()
  return svg
}
