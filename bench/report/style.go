package report

// pageStyle lays the page out; the charts bring their own style, and with it the colours. Charts are drawn for up to three widths, and
// the one that fits is shown.
const pageStyle = `
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}
header,main{max-width:1320px;margin:0 auto;padding:0 24px}
header{padding-top:28px}
h1{font-size:26px;line-height:1.2;margin:2px 0 10px}
h2{font-size:20px;margin:40px 0 8px;padding-top:14px;border-top:1px solid var(--rule);overflow-wrap:anywhere}
h3{font-size:15px;margin:0}
p{margin:6px 0}
a{color:var(--s0)}
.kind,.quiet,figcaption p{color:var(--quiet)}
.kind{margin:0;font-size:13px;text-transform:uppercase;letter-spacing:.06em}
.headlines{list-style:none;margin:0;padding:0;font-size:18px;max-width:62em}
.headlines li{margin:6px 0;padding-left:14px;border-left:3px solid var(--s0)}
.headlines .also{font-size:15px;border-color:var(--rule);color:var(--quiet)}
.badges{display:flex;flex-wrap:wrap;gap:8px}
.badge{font-weight:600;font-size:13px;padding:2px 10px;border-radius:10px;border:1.5px solid}
.badge.good{color:var(--good)}.badge.bad{color:var(--bad)}
.note{border-left:3px solid var(--quiet);padding-left:12px;max-width:70em}
.note.bad{border-color:var(--bad)}
.facts{display:grid;grid-template-columns:max-content 1fr;gap:2px 14px;margin:8px 0}
.facts dt{font-weight:600}.facts dd{margin:0}
figure{margin:18px 0;min-width:0}
.aside{opacity:0}.alone{margin-top:24px}
.explained{color:var(--quiet)}
figcaption p,.explained{font-size:13px;margin:2px 0 8px;max-width:60em}
.chart{display:block;width:100%;height:auto;overflow:visible}
.pair{display:grid;grid-template-columns:1fr;gap:0 40px}
.pair>*{min-width:0}
.scroll{overflow-x:auto;margin:12px 0}
table{border-collapse:collapse;font-size:14px;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--quiet);font-size:13px;padding-bottom:4px}
th,td{padding:4px 12px 4px 0;border-bottom:1px solid var(--rule);text-align:right;vertical-align:top}
tr:has(+ tr .aside)>*{border-bottom:none;padding-bottom:0}
.left{text-align:left}
th:first-child{font-weight:400;padding-right:20px}
thead th{font-weight:600;color:var(--quiet);white-space:nowrap}
th .quiet{font-size:12.5px;display:block}
#environment td{overflow-wrap:anywhere;min-width:8em}
details{margin:10px 0}details td:last-child:not(.left){text-align:left;min-width:16em}
summary{cursor:pointer;color:var(--s0)}
.uncarried{color:var(--quiet)}
td:has(>.dot){white-space:nowrap}
.dot{display:inline-block;width:10px;height:10px;border-radius:5px;margin-right:6px}
.d0{background:var(--s0)}.d1{background:var(--s1)}.d2{background:var(--s2)}.d3{background:var(--s3)}.d4{background:var(--s4)}.d5{background:var(--s5)}
pre{background:color-mix(in srgb,var(--rule) 35%,transparent);padding:10px 14px;border-radius:6px;overflow-x:auto;font-size:13px}
button{font:inherit;padding:3px 12px;border:1px solid var(--quiet);border-radius:6px;background:none;color:inherit;cursor:pointer}
:focus-visible{outline:2px solid var(--s0);outline-offset:2px}
.toggle[role=button]{cursor:pointer}.off{opacity:.35}
#tip{position:fixed;pointer-events:none;background:var(--ink);color:var(--paper);font-size:12.5px;line-height:1.35;padding:5px 9px;border-radius:5px;white-space:pre-line;max-width:260px;z-index:2}
.w2-2,.w2-3,.w3-3{display:none}
@media(min-width:700px){#environment th[scope=row]{white-space:nowrap}.w1-2,.w1-3{display:none}.w2-2,.w2-3{display:block}.w2-2 .chart{max-width:900px}}
@media(min-width:1200px){.pair{grid-template-columns:1fr 1fr}.w2-3{display:none}.w3-3{display:block}}
@media(max-width:700px){#environment th[scope=row]{overflow-wrap:anywhere;min-width:8em}header,main{padding:0 16px}header{padding-top:16px}h1{font-size:22px}.headlines{font-size:16px}.facts{grid-template-columns:1fr}th,td{padding-right:9px;font-size:13px}}
@media print{.toggle{cursor:auto}details{display:block}}
`
