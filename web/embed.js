// Tells the page around a frame how high this page is. Only sites on the server's list can be around it, so any that
// hears this may know.
const tell = () => parent.postMessage({ canvass: "height", height: document.documentElement.offsetHeight }, "*");

new ResizeObserver(tell).observe(document.documentElement);
