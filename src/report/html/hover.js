// Shows the title of a part of a picture beside the pointer; the page is complete without it.
(()=>{const tip=document.getElementById("tip");
const hide=()=>{tip.style.visibility="hidden"};
const show=event=>{const part=event.target.closest&&event.target.closest("g.h");if(!part){hide();return}
const title=part.querySelector("title");if(title){part.dataset.tip=title.textContent;part.setAttribute("aria-label",title.textContent);title.remove()}
tip.textContent=part.dataset.tip||"";
const box=tip.getBoundingClientRect(),x=Math.min(event.clientX+14,innerWidth-box.width-8),below=event.clientY+18;
tip.style.left=Math.max(8,x)+"px";
tip.style.top=(below+box.height>innerHeight?event.clientY-box.height-12:below)+"px";
tip.style.visibility="visible"};
addEventListener("pointermove",show,{passive:true});addEventListener("pointerdown",show,{passive:true});addEventListener("scroll",hide,{passive:true})})();
